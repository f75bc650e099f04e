package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
)

// tool runs a command line and returns what it printed and its exit code.
func tool(t *testing.T, stdin string, args ...string) (stdout string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	if err := execute(context.Background(), root); err != nil {
		return out.String() + explain(err), exitCode(err)
	}
	return out.String(), 0
}

// must runs a command line that succeeds.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, code := tool(t, stdin, args...)
	require.Zero(t, code, out)
	return out
}

func TestKeysAndScans(t *testing.T) {
	db := filepath.Join(t.TempDir(), "db")
	must(t, "", "put", db, "ada", "Lovelace")
	must(t, "Hopper", "put", db, "grace", "-", "--bucket", "users/by name")
	must(t, "", "put", db, "--hex", "ff00", "0a0b")
	must(t, "", "put", db, "--if-absent", "ada", "other")
	require.Equal(t, "Lovelace", must(t, "", "get", db, "ada"))
	require.Equal(t, "0a0b\n", must(t, "", "get", db, "--hex", "ff00"))
	require.Equal(t, "SG9wcGVy\n", must(t, "", "get", db, "--base64", "-b", "users/by name", "Z3JhY2U="))
	require.Equal(t, "ada\tLovelace\n\"\\xff\\x00\"\t\"\\n\\v\"\n", must(t, "", "scan", db))
	require.Equal(t, "ada\n", must(t, "", "scan", db, "--keys", "--limit", "1"))
	require.Equal(t, "\"\\xff\\x00\"\n", must(t, "", "scan", db, "--keys", "--reverse", "--limit", "1"))
	require.Equal(t, "ada\tLovelace\n", must(t, "", "scan", db, "--prefix", "a"))
	require.Equal(t, "users\nusers/by name\n", must(t, "", "buckets", db, "-r"))
	require.Contains(t, must(t, "", "stats", db), "2, ")
	require.Contains(t, must(t, "", "info", db), "yes: the file alone is complete")
	require.Contains(t, must(t, "", "check", db), "no damage: 3 buckets, 3 keys")
	require.Contains(t, must(t, "", "checkpoint", db), "are in the file")
	must(t, "", "del", db, "ada", "absent")
	require.Empty(t, must(t, "", "del", db, "--from", "a"))
	must(t, "", "del", db, "--whole", "-b", "users/by name")
	require.Equal(t, "users\n", must(t, "", "buckets", db, "-r"))
}

func TestDumpLoadCopyCompact(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "db")
	lines := `{"key":"a","value":"1"}
{"key64":"/w==","value64":"gA=="}
{"bucket":["b"],"sequence":7}
{"bucket":["b"],"key":"k","value":""}
{"bucket":["b",{"base64":"/w=="}]}
{"bucket":["b",{"base64":"/w=="}],"key":"deep","value":"v"}
`
	require.Contains(t, must(t, lines, "load", db), "4 keys, 2 buckets")
	require.Equal(t, lines, must(t, "", "dump", db))
	must(t, "", "copy", db, db+".copy")
	must(t, "", "compact", db, db+".compact")
	require.NoError(t, os.WriteFile(db+".stream", []byte(must(t, "", "copy", db, "-")), 0o600))
	for _, name := range []string{".copy", ".compact", ".stream"} {
		require.Equal(t, lines, must(t, "", "dump", db+name), name)
	}
	_, code := tool(t, "", "copy", db, db+".copy")
	require.Equal(t, exitOther, code)
	out, code := tool(t, "{\"key\":\"ok\",\"value\":\"\"}\nnonsense", "load", db)
	require.Equal(t, exitOther, code)
	require.Contains(t, out, "line 2")
}

func TestDirectoryAndDemo(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	files := map[string]int{"a": 0, "b/c": 10, "b/d/e": 5000, "b/f": 3 << 20}
	for name, n := range files {
		path := filepath.Join(src, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("x"), n), 0o600))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(src, "empty"), 0o755))
	db := filepath.Join(dir, "db")
	require.Contains(t, must(t, "", "load", db, "--dir", src), "4 keys, 3 buckets")
	require.Len(t, must(t, "", "get", db, "-b", "b", "f"), 3<<20)
	require.Equal(t, "b\nb/d\nempty\n", must(t, "", "buckets", db, "-r"))
	out := must(t, "", "demo", "--dir", src, "--file", db+".demo")
	require.Contains(t, out, "no damage")
	require.Contains(t, out, "kvtool get "+db+".demo")
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "db")
	must(t, "", "put", db, "k", "v")
	foreign := filepath.Join(dir, "foreign")
	require.NoError(t, os.WriteFile(foreign, bytes.Repeat([]byte("not a database "), 1000), 0o600))
	for _, c := range []struct {
		want int
		args []string
	}{
		{exitUsage, []string{"get", db}},
		{exitUsage, []string{"get", db, "k", "--hex"}},
		{exitUsage, []string{"scan", db, "--nonsense"}},
		{exitUsage, []string{"del", db}},
		{exitNotFound, []string{"get", db, "absent"}},
		{exitNotFound, []string{"get", db, "k", "-b", "absent"}},
		{exitNotFound, []string{"info", filepath.Join(dir, "absent")}},
		{exitDamaged, []string{"info", foreign}},
	} {
		out, code := tool(t, "", c.args...)
		require.Equal(t, c.want, code, "%v: %s", c.args, out)
	}
	require.Contains(t, must(t, "", "version"), "kvtool ")
	require.Contains(t, must(t, "", "--help"), "exit code")
}

// A database whose newest group is torn: info, which writes nothing, says which commit is gone and where, each time.
func TestInfoTellsOfDroppedGroup(t *testing.T) {
	dir := t.TempDir()
	open, err := pawl.Open(filepath.Join(dir, "open"), nil)
	require.NoError(t, err)
	defer open.Close()
	put := func(key string) {
		require.NoError(t, open.Update(func(tx *pawl.Tx) error { return tx.Root().Put([]byte(key), []byte("value")) }))
	}
	put("first")
	put("second")
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return content
	}
	db := filepath.Join(dir, "db") // as a crash leaves it: the files of an open database
	require.NoError(t, os.WriteFile(db, read("open"), 0o600))
	log := read("open-wal")
	at := bytes.LastIndex(log, []byte("second"))
	require.Positive(t, at)
	log[at] ^= 1
	require.NoError(t, os.WriteFile(db+"-wal", log, 0o600))
	for range 2 {
		out := must(t, "", "info", db)
		require.Contains(t, out, "no: 1 commits are in the log")
		require.Regexp(t, `dropped +.*an unfinished group from commit 2 at offset \d+ was dropped: its checksum is wrong`, out)
	}
	require.Equal(t, log, read("db-wal"))
	require.Equal(t, "first\n", must(t, "", "scan", db, "--keys"))
	must(t, "", "put", db, "third", "value")
	require.NotContains(t, must(t, "", "info", db), "dropped")
}
