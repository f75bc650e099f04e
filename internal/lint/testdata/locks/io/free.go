package io

import "sync"

type guarded struct{ mu sync.Mutex }

func (g *guarded) lock() { g.mu.Lock() }

var _ = (*guarded).lock
