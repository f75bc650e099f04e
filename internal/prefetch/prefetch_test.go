package prefetch

import "testing"

// A hint shows in nothing but time; it may be given for any memory, none included.
func TestHints(t *testing.T) {
	Bytes(nil)
	Bytes([]byte{})
	page := make([]byte, 1<<16)
	for size := range 200 {
		Bytes(page[size : 2*size : 2*size])
	}
	Bytes(page)
	From(nil, 100)
	From(&page[5], 1000)
	Value[[1 << 12]byte](nil)
	Value(new([1 << 12]byte))
	Value(new(struct{}))
	for at, c := range page {
		if c != 0 {
			t.Fatalf("byte %d is %d", at, c)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Bytes(page); Value(&page) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBytes(b *testing.B) {
	page := make([]byte, 4096)
	for b.Loop() {
		Bytes(page)
	}
}
