package io

import "maps"

// Clone returns a Memory that is what m is now: files on both sides, names, what is not synced, the clock, and the numbers that come
// next, so that the same calls do the same to both. m must be at rest: no file open, nothing under way, no timer set. Hooks are not
// taken over. The two share what they have in common and may be used by different goroutines.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.files) > 0 || len(m.queue) > 0 || len(m.timers) > 0 || m.draining > 0 {
		panic("io: Clone of a Memory that is not at rest")
	}
	c := NewMemory(m.config)
	c.started, c.closed, c.manual, c.readOnly, c.dropSync = m.started, m.closed, m.manual, m.readOnly, m.dropSync
	c.capacity, c.used = m.capacity, m.used
	c.random, c.index, c.stamp, c.nodes, c.clock, c.ordinal = m.random, m.index, m.stamp, m.nodes, m.clock, m.ordinal
	clones := map[*memNode]*memNode{}
	clone := func(node *memNode) *memNode {
		if node != nil && clones[node] == nil {
			clones[node] = node.clone()
		}
		return clones[node]
	}
	for name, node := range m.names {
		c.names[name] = clone(node)
	}
	for name, node := range m.durable {
		c.durable[name] = clone(node)
	}
	for _, ch := range m.journal {
		ch.node = clone(ch.node)
		c.journal = append(c.journal, ch)
	}
	return c
}

// clone returns a file that is what node is. Their chunks are shared.
func (node *memNode) clone() *memNode {
	node.renew()
	c := *node
	c.renew()
	c.slots = append([]memSlot(nil), node.slots...)
	c.dirty = append([]int(nil), node.dirty...)
	c.sizes = append([]sizeChange(nil), node.sizes...)
	c.scratch, c.owner, c.sharers = nil, nil, maps.Clone(node.sharers)
	return &c
}
