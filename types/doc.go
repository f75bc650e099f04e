// Package types holds the words that three or more packages of pawl need: the result of a step, the machine contract,
// ids and sequence numbers, and the errors that cross layers. Nothing else belongs here.
package types
