package btree

import (
	_ "crypto/rand"
	_ "encoding/binary"
	_ "math/rand"
	_ "math/rand/v2"
	_ "os"
	_ "os/signal"
	_ "runtime"
	_ "runtime/debug"
	. "strings"
	_ "sync/atomic"
	_ "syscall"
	_ "time"
	_ "unsafe"
)

var _ = Cut
