package flight_test

import (
	"bytes"
	stdio "io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/io/flight"
)

// readAll returns the records of a recording that has to be whole.
func readAll(t *testing.T, path string) []flight.Event {
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	list, torn, err := decode(content)
	require.NoError(t, err)
	require.Equal(t, int64(-1), torn)
	return list
}

// decode returns the records of a recording, and where it is torn.
func decode(content []byte) (list []flight.Event, torn int64, err error) {
	r, err := flight.NewReader(bytes.NewReader(content), int64(len(content)), "recording")
	if err != nil {
		return nil, 0, err
	}
	for {
		e, err := r.Next()
		if err == stdio.EOF {
			return list, r.Torn(), nil
		}
		if err != nil {
			return list, 0, err
		}
		e.Data = bytes.Clone(e.Data)
		list = append(list, e)
	}
}
