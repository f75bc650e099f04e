//go:build race

package pawl

const underRace = true
