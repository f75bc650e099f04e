//go:build race

package wal

const underRace = true
