package main

import (
	"slices"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		values []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 50, 0}, {hundred[:1], 50, 1}, {hundred[:1], 99, 1}, {hundred[:2], 50, 1}, {hundred[:2], 99, 2},
		{hundred[:3], 50, 2}, {hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 0, 1},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("percentile %d of %d values is %d, expected %d", c.p, len(c.values), got, c.want)
		}
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
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %d, expected %d", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("median changed %v to %v", before, c.values)
		}
	}
}

func TestSummarize(t *testing.T) {
	var a, b recorder
	a.add(1000, 3*time.Millisecond)
	a.add(500, time.Millisecond)
	b.add(500, 2*time.Millisecond)
	r := summarize([]recorder{a, b}, 4*time.Second)
	want := Result{Ops: 2000, Elapsed: 4 * time.Second, P50: 2 * time.Millisecond, P99: 3 * time.Millisecond, Samples: 3}
	if r != want || r.rate() != 500 {
		t.Errorf("%+v, %v a second; expected %+v, 500", r, r.rate(), want)
	}
}

// The ratio is taken within each round, so that a slow minute of the machine counts for both.
func TestRatiosAreWithinRounds(t *testing.T) {
	row := func(ops ...int64) (r row) {
		for _, n := range ops {
			r.results = append(r.results, Result{Ops: n, Elapsed: time.Second})
		}
		return r
	}
	got := row(10, 400, 60).ratios(row(5, 100, 20))
	if !slices.Equal(got, []float64{2, 4, 3}) {
		t.Errorf("ratios %v", got)
	}
}

func TestQuantities(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 7.4: "7", 999: "999", 999.6: "1 k", 4813: "4.81 k", 33_700: "33.7 k", 486_400: "486 k", 999_700: "1 M",
		21_940_000: "21.9 M",
	} {
		if got := quantity(v); got != want {
			t.Errorf("%v prints as %q, expected %q", v, got, want)
		}
	}
}

func TestKeysAndValues(t *testing.T) {
	const n = 5000
	seen := map[[keySize]byte]bool{}
	var key [keySize]byte
	value := make([]byte, valueSize)
	for i := range n {
		fillKey(key[:], i)
		if seen[key] {
			t.Fatalf("key %d comes twice", i)
		}
		seen[key] = true
		fillValue(value, key[:], uint64(i))
		if version, err := checkValue(key[:], value); err != nil || version != uint64(i) {
			t.Fatalf("own value: version %d, %v", version, err)
		}
	}
	for at := range value {
		value[at] ^= 0x10
		if _, err := checkValue(key[:], value); err == nil {
			t.Errorf("a wrong byte %d is not noticed", at)
		}
		value[at] ^= 0x10
	}
	if _, err := checkValue(key[:], value[:valueSize-1]); err == nil {
		t.Error("a short value is not noticed")
	}
	order := sortedOrder(n)
	var last [keySize]byte
	for at, i := range order {
		fillKey(key[:], i)
		if at > 0 && string(last[:]) >= string(key[:]) {
			t.Fatalf("place %d is out of order", at)
		}
		last = key
	}
}

func TestFlags(t *testing.T) {
	c, err := parseFlags([]string{"-quick", "-rounds", "9", "-engines", "bbolt,pawl", "-workloads", "scan"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Rounds != 9 || c.Keys != 20_000 || len(c.engines) != 2 || c.engines[0].Name != "pawl" || len(c.workloads) != 1 {
		t.Errorf("%+v", c)
	}
	for _, wrong := range [][]string{
		{"-rounds", "0"}, {"-keys", "0"}, {"-duration", "0s"}, {"-cache", "-1"}, {"-engines", "nothing"},
		{"-workloads", "scan,nothing"}, {"more"},
	} {
		if _, err := parseFlags(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
