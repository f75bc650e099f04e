package io

// ThroughRing has u send everything through the ring that it can, also what is awaited alone.
func ThroughRing(u IO) { u.(*uring).lone = false }
