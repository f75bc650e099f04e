// Package cmd is an example for the house rules.
package cmd
