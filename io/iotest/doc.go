// Package iotest is the conformance suite of the backends of package io: what each has to show before the engine runs on it.
// A backend's test hands over a [Backend] and runs the suite; what a backend can't be made to do (a short transfer, an
// interrupted call) is left nil, and the cases that need it are skipped by name.
package iotest
