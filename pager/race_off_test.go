//go:build !race

package pager

const underRace = false
