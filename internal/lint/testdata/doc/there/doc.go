// Package there is an example for the house rules.
package there
