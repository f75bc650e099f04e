package pager

import locks "sync"

var (
	mu   locks.Mutex
	rw   locks.RWMutex
	once locks.Once
	pool locks.Pool
	all  locks.Map
	wait locks.WaitGroup
	cond = locks.NewCond(&mu)
	last *locks.Cond
)

func run(c chan int) {
	go run(c)
	c <- 1
	<-c
	select {}
}

var _ = run
