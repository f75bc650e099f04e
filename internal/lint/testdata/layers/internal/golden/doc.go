// Package golden is an example for the house rules.
package golden
