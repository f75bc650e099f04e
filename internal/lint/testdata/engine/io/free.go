package io

import (
	"os"
	"sync"
	"time"
)

var (
	pool sync.Pool
	now  = time.Now
	file *os.File
)

func run() { go run() }

var _ = run
