package main

import (
	"bytes"
	"encoding/json"
	"errors"
	stdio "io"
	"unicode/utf8"
)

// line is one line of a dump: a value, or a bucket without one. Bytes that are no UTF-8 are in base64, under the name with 64
// behind.
//
//	{"bucket":["users"],"key":"ada","value":"Lovelace"}
//	{"bucket":["users"],"key64":"/w==","value64":"gIE="}
//	{"bucket":["users","empty"],"sequence":7}
type line struct {
	Bucket   []text  `json:"bucket,omitempty"`
	Key      *string `json:"key,omitempty"`
	Key64    []byte  `json:"key64,omitempty"`
	Value    *string `json:"value,omitempty"`
	Value64  []byte  `json:"value64,omitempty"`
	Sequence uint64  `json:"sequence,omitempty"`
}

// text is a bucket's name: a string, or {"base64": ...} where that is no UTF-8.
type text []byte

// MarshalJSON writes the name.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.Valid(t) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string][]byte{"base64": t})
}

// UnmarshalJSON reads the name.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		*t = text(s)
		return nil
	}
	var o struct{ Base64 []byte }
	if err := json.Unmarshal(b, &o); err != nil || o.Base64 == nil {
		return errors.New(`a bucket's name is a string or {"base64": "..."}`)
	}
	*t = o.Base64
	return nil
}

// parseLine reads a line: an object with fields that are known and go together.
func parseLine(b []byte) (*line, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("bytes that are no UTF-8: they belong into key64 and value64")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	l := new(line)
	if err := dec.Decode(l); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != stdio.EOF {
		return nil, errors.New("more than one object")
	}
	key, value := l.Key != nil || l.Key64 != nil, l.Value != nil || l.Value64 != nil
	switch {
	case l.Key != nil && l.Key64 != nil, l.Value != nil && l.Value64 != nil:
		return nil, errors.New("a key or value twice")
	case key && !value:
		return nil, errors.New("a key without a value")
	case value && !key:
		return nil, errors.New("a value without a key")
	case key && l.Sequence != 0:
		return nil, errors.New("a key with a sequence, which is a bucket's")
	case !key && len(l.Bucket) == 0 && l.Sequence == 0:
		return nil, errors.New("neither a key nor a bucket")
	}
	return l, nil
}

// newLine returns the line of a value.
func newLine(bucket [][]byte, key, value []byte) line {
	l := line{Bucket: names(bucket)}
	l.Key, l.Key64 = split(key)
	l.Value, l.Value64 = split(value)
	return l
}

// names returns a bucket's path as a line has it.
func names(bucket [][]byte) []text {
	var t []text
	for _, name := range bucket {
		t = append(t, name)
	}
	return t
}

// split returns bytes as text, if they are.
func split(b []byte) (*string, []byte) {
	if !utf8.Valid(b) {
		return nil, b
	}
	s := string(b)
	return &s, nil
}

// join is the inverse of split; ok is false if neither is there.
func join(s *string, b []byte) (v []byte, ok bool) {
	if s != nil {
		return []byte(*s), true
	}
	return b, b != nil
}

// path returns the bucket's path.
func (l *line) path() [][]byte {
	var p [][]byte
	for _, name := range l.Bucket {
		p = append(p, name)
	}
	return p
}
