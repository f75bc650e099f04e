package pager

import "fmt"

func (w *pagerWorld) debugPage(id uint64) {
	p := w.p
	s := p.Snapshot()
	fmt.Println("snapshot", s.Seq, "gen", s.gen.number, "covered", s.gen.covered, "layers", p.log.Layers())
	for img := p.cache.table.first(52); img != nil; img = img.prev.Load() {
		fmt.Println("image v", img.version, "through", img.through.Load(), "mark", img.data[32])
	}
	for v := s.Seq; v > 0; v-- {
		e, ok := p.log.Lookup(52, v, 0)
		fmt.Println("lookup at", v, ok, e.Version, e.Kind, e.Run, e.Written)
	}
	for i, m := range w.models {
		fmt.Println("model", i, m[52])
	}
}
