// Package cover knows in which states the engine's machines wait, and counts which of them a simulation has been in, and what
// was done to them there. A machine is a struct with a Step method; its field state is of a type whose constants say in
// comments which states await something. universe.go lists those, and is made from the engine's source by
//
//	go test ./testing/simulator/cover -update
package cover
