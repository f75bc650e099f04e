// Package types is an example for the house rules.
package types
