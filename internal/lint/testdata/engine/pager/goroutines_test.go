package pager

import (
	"sync"
	"time"
)

var group sync.WaitGroup

func sleep() { go time.Sleep(1) }
