package wal

import (
	"github.com/pawldb/pawl/io"
	"github.com/pawldb/pawl/types"
)

type log struct {
	files io.Submitter
	loop  io.IO // the event loop
}

type poller interface{ Poll() int }

func (l *log) step(c *io.Completion) (types.IOResult[int], error) {
	l.files.Timer(c, 1)
	_ = l.loop.Wait(nil, c)
	_ = l.files.(poller).Poll()
	_ = c.Park(nil, nil)
	return types.Wait[int](c)
}

var _ = (*log).step
