package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl/testing/simulator/plan"
	"github.com/pawldb/pawl/testing/simulator/world"
)

// The plans in testdata have each found a bug, which its name tells: they are clean now.
func TestReplays(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		p := new(plan.Plan)
		require.NoError(t, json.Unmarshal(text, p))
		res := world.Run(p, world.Options{})
		require.NoError(t, res.Err, "%s\n%s", name, res.Stack)
	}
}
