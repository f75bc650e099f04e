package replay

// spans are ranges of a file: [from, to) each.
type spans [][2]int64

// add adds a range.
func (s *spans) add(from, to int64) {
	s.remove(from, to)
	*s = append(*s, [2]int64{from, to})
}

// remove takes a range out.
func (s *spans) remove(from, to int64) {
	var kept spans
	for _, r := range *s {
		if r[0] < min(r[1], from) {
			kept = append(kept, [2]int64{r[0], min(r[1], from)})
		}
		if max(r[0], to) < r[1] {
			kept = append(kept, [2]int64{max(r[0], to), r[1]})
		}
	}
	*s = kept
}

// meet reports whether a range has something in common with them.
func (s spans) meet(from, to int64) bool {
	for _, r := range s {
		if r[0] < to && from < r[1] {
			return true
		}
	}
	return false
}
