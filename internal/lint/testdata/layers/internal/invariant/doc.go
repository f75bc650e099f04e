// Package invariant is an example for the house rules.
package invariant
