// Package elsewhere has its comment in the wrong file.
package elsewhere
