package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what the commands of the manual print into the manual")

// asTool makes this test's binary kvtool itself, for the shell that the manual's commands run in.
const asTool = "PAWL_TEST_AS_KVTOOL"

func init() {
	if os.Getenv(asTool) != "" {
		os.Exit(run(context.Background(), os.Args[1:]))
	}
}

// Every command of the manual's console blocks, one after the other, prints what the manual says that it prints.
func TestManual(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no shell here")
	}
	const manual = "../../docs/manual.md"
	content, err := os.ReadFile(manual)
	require.NoError(t, err)
	binary, err := os.Executable()
	require.NoError(t, err)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asTool, binary)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "kvtool"), []byte(script), 0o700))

	commands := 0
	block := regexp.MustCompile("(?s)```console\n(.*?)```")
	got := block.ReplaceAllStringFunc(string(content), func(old string) string {
		var out strings.Builder
		out.WriteString("```console\n")
		for line := range strings.Lines(old) {
			command, ok := strings.CutPrefix(line, "$ ")
			if !ok {
				continue
			}
			commands++
			sh := exec.Command("sh", "-c", command)
			sh.Dir = dir
			sh.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			printed, err := sh.CombinedOutput()
			var exit *exec.ExitError
			require.True(t, err == nil || errors.As(err, &exit), "%s: %v", command, err)
			out.WriteString(line + strings.ReplaceAll(string(printed), dir, "/data"))
			if n := len(printed); n > 0 && printed[n-1] != '\n' {
				out.WriteString("\n")
			}
			if exit != nil {
				fmt.Fprintf(&out, "(exit code %d)\n", exit.ExitCode())
			}
		}
		return out.String() + "```"
	})
	require.Greater(t, commands, 15)
	if *update {
		require.NoError(t, os.WriteFile(manual, []byte(got), 0o600))
		return
	}
	require.Equal(t, string(content), got, "after a change that is meant: go test ./cmd/kvtool -run TestManual -update")
}

// The manual speaks of every command.
func TestManualHasEveryCommand(t *testing.T) {
	content, err := os.ReadFile("../../docs/manual.md")
	require.NoError(t, err)
	for _, cmd := range newRoot().Commands() {
		require.True(t, strings.Contains(string(content), "`kvtool "+cmd.Name()), "docs/manual.md has no kvtool %s", cmd.Name())
	}
}
