//go:build race

package pager

const underRace = true
