// Package iotest is an example for the house rules.
package iotest
