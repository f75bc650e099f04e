//go:build !linux

package machine

import "os"

// dataSync puts a file on stable storage: no call for the data alone is known here.
func dataSync(f *os.File) error { return f.Sync() }
