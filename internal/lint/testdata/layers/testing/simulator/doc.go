// Package simulator is an example for the house rules.
package simulator
