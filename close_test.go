package pawl

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// waitContext tells when somebody is about to wait for its end, which never comes.
type waitContext struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (c *waitContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waits) })
	return nil
}

// A Close that waits for another one takes over if that gives up.
func TestCloseTakesOver(t *testing.T) {
	db, err := OpenMemory(nil)
	require.NoError(t, err)
	tx, err := db.Begin(false)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error), make(chan error)
	go func() { first <- db.CloseContext(ctx) }()
	for !db.closing.Load() { // until the first is at work
		runtime.Gosched()
	}
	waiting := &waitContext{Context: context.Background(), waits: make(chan struct{})}
	go func() { second <- db.CloseContext(waiting) }()
	<-waiting.waits
	cancel()
	var open *OpenTxError
	require.ErrorAs(t, <-first, &open)
	require.NoError(t, tx.Rollback())
	require.NoError(t, <-second)
	require.NoError(t, db.Close(), "a third one finds it closed")
	_, err = db.Begin(false)
	require.ErrorIs(t, err, ErrClosed)
}
