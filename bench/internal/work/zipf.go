package work

import "math"

// zipf draws numbers below n so that number i comes about 1/(i+1)^0.99 as often as 0: what YCSB calls zipfian, by the
// method that it took from Gray et al., "Quickly generating billion-record synthetic databases". Since a key looks
// random, the frequent ones are spread over the whole store.
type zipf struct {
	n                 float64
	alpha, zetaN, eta float64
	second            float64 // where number 1 ends
}

// theta is YCSB's.
const theta = 0.99

// newZipf takes time that grows with n.
func newZipf(n int) *zipf {
	zeta := func(n int) (sum float64) {
		for i := range n {
			sum += math.Pow(float64(i+1), -theta)
		}
		return sum
	}
	z := &zipf{n: float64(n), alpha: 1 / (1 - theta), zetaN: zeta(n), second: 1 + math.Pow(0.5, theta)}
	z.eta = (1 - math.Pow(2/z.n, 1-theta)) / (1 - zeta(2)/z.zetaN)
	return z
}

// next draws a number.
func (z *zipf) next(dice *rng) int {
	u := dice.float()
	switch uz := u * z.zetaN; {
	case uz < 1 || z.n < 2:
		return 0
	case uz < z.second:
		return 1
	}
	return min(int(z.n*math.Pow(z.eta*u-z.eta+1, z.alpha)), int(z.n)-1)
}

// float draws a number from 0 to below 1.
func (r *rng) float() float64 {
	*r += golden
	return float64(mix(uint64(*r))>>11) / (1 << 53)
}
