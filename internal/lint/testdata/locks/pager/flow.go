package pager

import (
	"sync"

	"github.com/pawldb/pawl/wal"
)

type pager struct {
	mu   sync.Mutex
	log  wal.Log
	full bool
}

func (p *pager) branches(n int) {
	p.mu.Lock()
	switch {
	case n == 0:
		p.mu.Unlock()
		p.log.Start()
		return
	case n == 1:
		p.mu.Unlock()
		fallthrough
	case n == 2:
		p.log.Start() // finding: locked when n is 2
	default:
		p.mu.Unlock()
		panic("no such n")
	}
	p.mu.Unlock()
}

func (p *pager) loops(items []int) {
	for _, n := range items {
		if n == 0 {
			p.mu.Lock()
			break
		}
		p.log.Start()
	}
	p.log.Start() // finding: locked by the break
	p.mu.Unlock()

	for i := 0; i < 3; i++ {
		p.log.Start() // finding: locked in the round before
		p.mu.Lock()
		if i == 1 {
			continue
		}
		p.mu.Unlock()
	}
	p.mu.Unlock()
}

func (p *pager) forever() {
outer:
	for {
		p.mu.Lock()
		for range 3 {
			if p.full {
				break outer
			}
		}
		p.mu.Unlock()
		p.log.Start()
	}
	p.mu.Unlock()
	p.log.Start()
}

func (p *pager) endless() int {
	for {
		p.mu.Lock()
		if p.full {
			p.mu.Unlock()
			return 1
		}
		p.mu.Unlock()
	}
}

func (p *pager) jump() {
	p.mu.Lock()
	goto out // finding
out:
	p.mu.Unlock()
}

var all = []func(*pager){(*pager).forever, (*pager).jump}

var _, _, _, _ = all, (*pager).branches, (*pager).loops, (*pager).endless
