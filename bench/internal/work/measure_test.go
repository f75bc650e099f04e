package work

import (
	"slices"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h histogram
	if got := h.percentile(500); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for _, c := range []struct {
		p    int
		want time.Duration
	}{{0, 1}, {500, 500}, {990, 990}, {999, 999}, {1000, 1000}} {
		want := c.want * time.Microsecond
		if got := h.percentile(c.p); got < want || got > want+want/128 {
			t.Errorf("percentile %d is %v, expected %v", c.p, got, want)
		}
	}
	var small histogram
	for i := range 200 {
		small.add(time.Duration(i))
	}
	if got := small.percentile(500); got != 99 {
		t.Errorf("short times are exact: %v", got)
	}
	small.merge(&h)
	if small.total != 1200 || small.percentile(1000) < time.Millisecond {
		t.Errorf("merged: %d, %v", small.total, small.percentile(1000))
	}
}

// Places have no gaps and no overlaps, up to the longest time.
func TestHistogramPlaces(t *testing.T) {
	var h histogram
	for place := range h.counts {
		end := endOf(place)
		if placeOf(end) != place {
			t.Fatalf("the end %d of place %d is in place %d", end, place, placeOf(end))
		}
		if place+1 < len(h.counts) && placeOf(end+1) != place+1 {
			t.Fatalf("behind place %d comes %d", place, placeOf(end+1))
		}
	}
	h.add(1<<63 - 1)
	h.add(-1)
}

func TestSummarize(t *testing.T) {
	var a, b recorder
	a.add(1000, 3)
	a.add(500, 1)
	b.add(500, 2)
	r := summarize([]recorder{a, b}, 4*time.Second)
	if r.Ops != 2000 || r.Elapsed != 4*time.Second || r.P50 != 2 || r.P99 != 3 || r.P999 != 3 || r.Samples != 3 || r.Rate() != 500 {
		t.Errorf("%+v", r)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []int64
		want   int64
	}{
		{nil, 0}, {[]int64{7}, 7}, {[]int64{9, 1}, 5}, {[]int64{9, 1, 2}, 2}, {[]int64{4, 1, 9, 2}, 3},
	} {
		before := slices.Clone(c.values)
		if got := Median(c.values); got != c.want {
			t.Errorf("median of %v is %d, expected %d", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("median changed %v to %v", before, c.values)
		}
	}
}
