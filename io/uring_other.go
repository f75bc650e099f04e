//go:build !linux

package io

import (
	"errors"
	"fmt"
	"runtime"
)

func openUring(UringOptions) (IO, error) {
	return nil, fmt.Errorf("io: no io_uring on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
