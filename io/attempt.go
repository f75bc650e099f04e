package io

// Attempt is an I/O whose failure is an answer, not the end of the operation: does the file exist, will this sync
// succeed. A driver aborts an operation whose awaited completion has failed; so the operation submits with Begin's
// completion, awaits Over's, which always succeeds, and then asks Err.
//
// The zero Attempt is ready. It is used again after Reset.
type Attempt struct {
	io   Completion
	over Completion
}

// Begin returns the idle completion to submit with. reason is what waiting operations report.
func (a *Attempt) Begin(reason string) *Completion {
	a.over.ArmYield(reason)
	a.io.OnRetire(func(*Completion) { a.over.Finish(0, nil) })
	return &a.io
}

// Over returns the completion to await. It resolves once the I/O is retired.
func (a *Attempt) Over() *Completion { return &a.over }

// Idle reports whether there is no I/O since the last Reset.
func (a *Attempt) Idle() bool { return a.over.Idle() }

// Err returns how the I/O ended, once Over has resolved.
func (a *Attempt) Err() error { return a.io.Err() }

// Proof returns the proof that the I/O succeeded, and panics if it did not.
func (a *Attempt) Proof() Proof { return a.io.Proof() }

// Cancel gives the I/O up. Over resolves when it is retired.
func (a *Attempt) Cancel() { a.io.Cancel() }

// OnRetire sets fn to run once the I/O is retired.
func (a *Attempt) OnRetire(fn func(*Completion)) { a.over.OnRetire(fn) }

// Reset makes the attempt ready for its next use, once Over has resolved.
func (a *Attempt) Reset() {
	a.io.Reset()
	a.over.Reset()
}
