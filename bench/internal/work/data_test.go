package work

import (
	"bytes"
	"math"
	"testing"
)

func TestKeysAndValues(t *testing.T) {
	const n = 5000
	seen := map[[KeySize]byte]bool{}
	var key [KeySize]byte
	value := make([]byte, ValueSize)
	for i := range n {
		FillKey(key[:], i)
		if seen[key] {
			t.Fatalf("key %d comes twice", i)
		}
		seen[key] = true
		if number, ok := numberOf(key[:], n); !ok || number != i {
			t.Fatalf("key %d is taken for %d, %v", i, number, ok)
		}
		FillValue(value, key[:], uint64(i))
		if version, err := checkValue(key[:], value, ValueSize); err != nil || version != uint64(i) {
			t.Fatalf("own value: version %d, %v", version, err)
		}
	}
	for at := range value {
		value[at] ^= 0x10
		if _, err := checkValue(key[:], value, ValueSize); err == nil {
			t.Errorf("a wrong byte %d is not noticed", at)
		}
		value[at] ^= 0x10
	}
	if _, err := checkValue(key[:], value[:ValueSize-1], ValueSize); err == nil {
		t.Error("a short value is not noticed")
	}
	var last [KeySize]byte
	for at, i := range sortedOrder(n) {
		FillKey(key[:], i)
		if at > 0 && string(last[:]) >= string(key[:]) {
			t.Fatalf("place %d is out of order", at)
		}
		last = key
	}
}

func TestNumbersOfOtherKeys(t *testing.T) {
	key := make([]byte, KeySize)
	FillKey(key, 10)
	if _, ok := numberOf(key, 10); ok {
		t.Error("a number that is too large is none")
	}
	key[15] ^= 1
	if _, ok := numberOf(key, 11); ok {
		t.Error("a key with a wrong second half has a number")
	}
	if _, ok := numberOf(key[:15], 11); ok {
		t.Error("a short key has a number")
	}
}

func TestBigValues(t *testing.T) {
	key, value := make([]byte, KeySize), make([]byte, BigSize)
	FillKey(key, 3)
	FillValue(value, key, 7)
	if version, err := checkValue(key, value, BigSize); err != nil || version != 7 {
		t.Fatalf("own value: version %d, %v", version, err)
	}
	for _, at := range []int{0, 8, 16, 4095, 4096, 4104, 5000, BigSize - 1} {
		value[at] ^= 1
		if _, err := checkValue(key, value, BigSize); err == nil {
			t.Errorf("a wrong byte %d is not noticed", at)
		}
		value[at] ^= 1
	}
	if bytes.Equal(value[bigHeading:bigBlock], value[bigBlock+bigHeading:2*bigBlock]) {
		t.Error("blocks are alike")
	}
}

// Number i comes about 1/(i+1)^0.99 as often as number 0.
func TestZipf(t *testing.T) {
	const n, draws = 1000, 400_000
	z, dice := newZipf(n), rng(1)
	counts := make([]float64, n)
	for range draws {
		counts[z.next(&dice)]++
	}
	zeta := 0.
	for i := range n {
		zeta += math.Pow(float64(i+1), -theta)
	}
	upTo, want := 0., 0.
	for i := range n {
		upTo, want = upTo+counts[i]/draws, want+math.Pow(float64(i+1), -theta)/zeta
		// The method is exact for the first two numbers, and near for the others.
		if tolerance := 0.03; i == 0 && math.Abs(upTo-want) > 0.003 || math.Abs(upTo-want) > tolerance {
			t.Fatalf("%.4f of the draws are up to %d, expected %.4f", upTo, i, want)
		}
	}
	if one := newZipf(1); one.next(&dice) != 0 {
		t.Error("of one number another is drawn")
	}
}

// Each pair of a scan lies behind the one before, in the scan's direction.
func TestOrderly(t *testing.T) {
	w := &World{size: ValueSize}
	pair := func(first, second byte) (key, value []byte) {
		key, value = make([]byte, KeySize), make([]byte, ValueSize)
		key[0], key[KeySize-1] = first, second
		FillValue(value, key, 1)
		return key, value
	}
	for _, back := range []bool{false, true} {
		for _, next := range [][2]byte{{4, 9}, {6, 1}, {5, 4}, {5, 6}, {5, 5}} {
			o := orderly{w: w, back: back}
			if err := o.visit(pair(5, 5)); err != nil {
				t.Fatal(err)
			}
			at := int(next[0])<<8 | int(next[1])
			good := back && at < 0x505 || !back && at > 0x505
			if err := o.visit(pair(next[0], next[1])); (err == nil) != good {
				t.Errorf("backward %v, %v behind 5, 5: %v", back, next, err)
			}
		}
	}
}

func BenchmarkCheckValue(b *testing.B) {
	var key [KeySize]byte
	value := make([]byte, ValueSize)
	FillKey(key[:], 1)
	FillValue(value, key[:], 2)
	for b.Loop() {
		if _, err := checkValue(key[:], value, ValueSize); err != nil {
			b.Fatal(err)
		}
	}
}
