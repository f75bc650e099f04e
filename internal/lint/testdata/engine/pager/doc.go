// Package pager is an example for the house rules.
package pager
