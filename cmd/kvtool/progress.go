package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// bar shows the progress of long work, if stderr is a terminal.
type bar struct{ b *progressbar.ProgressBar }

// newBar returns a bar; total below 0 is unknown. bytes says that it counts them.
func newBar(cmd *cobra.Command, what string, total int64, bytes bool) *bar {
	f, ok := cmd.ErrOrStderr().(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(cmd.ErrOrStderr()), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(total > 0), progressbar.OptionSetWidth(30),
	}
	if bytes {
		options = append(options, progressbar.OptionShowBytes(true))
	}
	return &bar{progressbar.NewOptions64(total, options...)}
}

// add counts work that is done.
func (b *bar) add(n int64) {
	if b.b != nil {
		_ = b.b.Add64(n)
	}
}

// end takes the bar away.
func (b *bar) end() {
	if b.b != nil {
		_ = b.b.Finish()
	}
}

// Write makes a bar count what passes through an io.MultiWriter.
func (b *bar) Write(p []byte) (int, error) {
	b.add(int64(len(p)))
	return len(p), nil
}
