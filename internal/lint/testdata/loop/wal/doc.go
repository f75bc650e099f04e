// Package wal is an example for the house rules.
package wal
