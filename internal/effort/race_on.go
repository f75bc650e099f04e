//go:build race

package effort

// UnderRace reports whether the race detector is built in.
const UnderRace = true
