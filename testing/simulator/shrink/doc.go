// Package shrink makes plans that fail small: it leaves out eras, clients, tasks, operations and faults, then makes what is left
// plainer, as long as the same check fails. It is delta debugging: Zeller, Hildebrandt, "Simplifying and Isolating
// Failure-Inducing Input", 2002.
package shrink
