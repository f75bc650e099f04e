// Package odd is an example for the house rules.
package odd
