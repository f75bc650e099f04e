// Package btree is an example for the house rules.
package btree
