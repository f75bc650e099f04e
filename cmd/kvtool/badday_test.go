package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	stdio "io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
)

// toolChild is set in the environment of a process that is to be kvtool itself.
const toolChild = "KVTOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(toolChild) != "" {
		os.Exit(run(context.Background(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// process returns kvtool as a process of its own, not started yet.
func process(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), toolChild+"=1")
	return cmd
}

// commands returns a command line of every command that opens a database that exists, but for load, put and demo, which make it.
func commands(db, other string) [][]string {
	return [][]string{
		{"info", db}, {"get", db, "k"}, {"del", db, "k"}, {"del", db, "--from", "a"}, {"scan", db}, {"buckets", db, "-r"},
		{"stats", db}, {"check", db}, {"dump", db}, {"checkpoint", db}, {"copy", db, other}, {"copy", db, "-"},
		{"compact", db, other},
	}
}

// makers returns the commands that make a database.
func makers(db string) [][]string { return [][]string{{"put", db, "k", "v"}, {"load", db}} }

// Every command says what is wrong with the file, and by its exit code, and makes nothing.
func TestCommandsOnBadFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	good := at("good")
	for i := range 50 {
		must(t, "", "put", good, fmt.Sprintf("key%d", i), strings.Repeat("v", 300))
	}
	content, err := os.ReadFile(good)
	require.NoError(t, err)
	damaged := bytes.Clone(content)
	for i := 8192; i < len(damaged); i += 512 {
		damaged[i+100] ^= 0x55
	}
	for name, b := range map[string][]byte{
		"foreign": bytes.Repeat([]byte("not a database "), 1000), "empty": {}, "short": content[:9000], "damaged": damaged,
	} {
		require.NoError(t, os.WriteFile(at(name), b, 0o600))
	}
	require.NoError(t, os.Mkdir(at("directory"), 0o700))
	held, err := pawl.Open(at("locked"), nil)
	require.NoError(t, err)
	before, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, c := range []struct {
		file string
		code int
		text string
		make bool // the commands that make a database are refused too
	}{
		{"missing", exitNotFound, "no such file", false},
		{"missing/deeper", exitNotFound, "no such file", true},
		{"foreign", exitDamaged, "not a pawl database", true},
		{"empty", exitDamaged, "not a pawl database", true},
		{"directory", exitDamaged, "not a pawl database", true},
		{"short", exitDamaged, "corrupt", true},
		{"locked", exitLocked, fmt.Sprintf("locked by process %d", os.Getpid()), true},
		{"good/deeper", exitOther, "not a directory", true},
	} {
		if runtime.GOOS == "windows" && strings.Contains(c.file, "/") {
			continue // the system says it in other words
		}
		list := commands(at(c.file), at("other"))
		if c.make {
			list = append(list, makers(at(c.file))...)
		}
		for _, args := range list {
			if c.file == "locked" {
				args = append(args, "--lock-timeout", "0s")
			}
			out, code := tool(t, "", args...)
			require.Equal(t, c.code, code, "%v: %s", args, out)
			require.Contains(t, out, c.text, "%v", args)
		}
	}
	// Of a damaged file those commands fail that read what is damaged; none ends in anything but its name.
	for _, args := range commands(at("damaged"), at("other")) {
		out, code := tool(t, "", args...)
		require.Contains(t, []int{0, exitDamaged}, code, "%v: %s", args, out)
		if code != 0 {
			require.Contains(t, out, "corrupt", "%v", args)
		}
		_ = os.Remove(at("other"))
	}
	out, code := tool(t, "", "check", at("damaged"))
	require.Equal(t, exitDamaged, code, out)
	require.NoError(t, held.Close())
	after, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := func(list []os.DirEntry) (names []string) {
		for _, e := range list {
			if !strings.HasSuffix(e.Name(), "-wal") {
				names = append(names, e.Name())
			}
		}
		return names
	}
	require.Equal(t, names(before), names(after))
}

// What is wrong with the command line is exit code 2, before anything is touched.
func TestUsageErrors(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "db")
	for _, args := range [][]string{
		{"nonsense"}, {"get"}, {"get", db}, {"get", db, "a", "b"}, {"--nonsense"}, {"get", db, "k", "--nonsense"},
		{"get", db, "zz", "--hex"}, {"get", db, "abc", "--hex"}, {"get", db, "a", "--base64"}, {"get", db, "k", "--hex", "--base64"},
		{"put", db, "61", "0", "--hex"}, {"put", db, "YQ==", "%", "--base64"}, {"put", db, "zz", "00", "--hex"},
		{"put", db, "k", "v", "--page-size", "1000"}, {"put", db, "k", "v", "--page-size", "x"}, {"put", db, "k", "v", "--cache", "-1"},
		{"scan", db, "--prefix", "a", "--from", "b"}, {"scan", db, "--limit", "many"}, {"del", db}, {"del", db, "k", "--from", "a"},
		{"del", db, "--whole"}, {"load"}, {"load", db, "a", "b"}, {"load", db, "a", "--dir", "b"}, {"info", db, "--lock-timeout", "soon"},
	} {
		out, code := tool(t, "", args...)
		require.Equal(t, exitUsage, code, "%v: %s", args, out)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A line that can't be loaded is named by its number and loads nothing; what was committed before is told.
func TestLoadBadLines(t *testing.T) {
	for line, text := range map[string]string{
		`nonsense`:                               "invalid character",
		`{"key":"a"`:                             "unexpected EOF",
		`{"key":"a","value":"b"} {"key":"c"}`:    "more than one object",
		`{"key":"a","value":"b"} x`:              "more than one object",
		`[]`:                                     "cannot unmarshal",
		`"key"`:                                  "cannot unmarshal",
		`null`:                                   "neither a key nor a bucket",
		`{}`:                                     "neither a key nor a bucket",
		`{"key":"a"}`:                            "a key without a value",
		`{"value":"a"}`:                          "a value without a key",
		`{"key":"a","key64":"YQ==","value":"b"}`: "twice",
		`{"key":"a","value":"b","value64":"YQ=="}`:                "twice",
		`{"key":"a","value":"b","sequence":7}`:                    "sequence",
		`{"key":"a","value":"b","colour":"red"}`:                  "unknown field",
		`{"key64":"?","value":"b"}`:                               "illegal base64",
		`{"key":"","value":"b"}`:                                  "key is empty",
		`{"bucket":[""],"key":"a","value":"b"}`:                   "key is empty",
		`{"bucket":[7],"key":"a","value":"b"}`:                    "a bucket's name is",
		`{"bucket":"a","key":"a","value":"b"}`:                    "cannot unmarshal",
		`{"bucket":["first"],"key":"a","value":""}`:               "is not a bucket",
		`{"bucket":["a"],"sequence":-1}`:                          "cannot unmarshal",
		`{"key":7,"value":"b"}`:                                   "cannot unmarshal",
		"{\"key\":\"\xff\",\"value\":\"b\"}":                      "no UTF-8",
		`{"key":"` + strings.Repeat("k", 5000) + `","value":"b"}`: "too large",
	} {
		db := filepath.Join(t.TempDir(), "db")
		out, code := tool(t, "{\"key\":\"first\",\"value\":\"1\"}\n\n"+line+"\n{\"key\":\"last\",\"value\":\"1\"}\n", "load", db)
		require.Equal(t, exitOther, code, "%s: %s", line, out)
		require.Contains(t, out, "line 3: ", line)
		require.Contains(t, out, text, line)
		require.Contains(t, out, "0 keys were loaded before", line)
		require.Empty(t, must(t, "", "dump", db), line)
	}
	db := filepath.Join(t.TempDir(), "db")
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, "{\"key\":\"%04d\",\"value\":%q}\n", i, strings.Repeat("v", 4000))
	}
	out, code := tool(t, lines.String()+"nonsense", "load", db)
	require.Equal(t, exitOther, code)
	var loaded int
	at := strings.LastIndex(out, "(") + 1
	_, err := fmt.Sscanf(out[at:], "%d keys were loaded before", &loaded)
	require.NoError(t, err, out)
	require.Positive(t, loaded)
	require.Equal(t, loaded, strings.Count(must(t, "", "dump", db), "\n"), "what it says is there, and no more")
	require.Contains(t, out, "line 2001: ")
	_, code = tool(t, "", "load", filepath.Join(t.TempDir(), "db"), "no such lines")
	require.Equal(t, exitNotFound, code)
}

// A dump loads to the same dump: bytes of all kinds in keys, values and names, empty values, nested buckets, sequences.
func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := pawl.Open(path, nil)
	require.NoError(t, err)
	odd := [][]byte{
		{0}, {0, 0}, {255}, {0xc3, 0x28}, []byte("é"), []byte("\u2028"), []byte("<&>"), []byte(`"\`), []byte("\n"), []byte("/"),
		[]byte("\ufffd"), {0xed, 0xa0, 0x80}, []byte(" "), bytes.Repeat([]byte{'x'}, 800), {0x80},
	}
	require.NoError(t, db.Update(func(tx *pawl.Tx) error {
		require.NoError(t, tx.Root().SetSequence(1<<64-1))
		for i, name := range odd {
			require.NoError(t, tx.Root().Put(append([]byte("key"), name...), name))
			require.NoError(t, tx.Root().Put(append([]byte("empty"), name...), nil))
			b, err := tx.CreateBucketIfNotExists(name, odd[(i+1)%len(odd)], []byte("deep"))
			require.NoError(t, err)
			require.NoError(t, b.Put(name, bytes.Repeat(name, 1000)))
			require.NoError(t, tx.Bucket(name).SetSequence(uint64(i)))
		}
		_, err := tx.CreateBucket([]byte("empty bucket"))
		return err
	}))
	require.NoError(t, db.Close())
	dump := must(t, "", "dump", path)
	must(t, dump, "load", path+".2")
	require.Equal(t, dump, must(t, "", "dump", path+".2"))
	lines := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(lines, []byte(strings.TrimSuffix(dump, "\n")), 0o600))
	must(t, "", "load", path+".3", lines, "--page-size", "16384", "--relaxed")
	require.Equal(t, dump, must(t, "", "dump", path+".3"))
	must(t, dump, "load", path+".3") // once more over what is there
	require.Equal(t, dump, must(t, "", "dump", path+".3"))
}

// A directory tree with all that a tree can have.
func TestLoadOddTrees(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("names of all kinds of bytes, links and pipes")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	names := []string{"a b", "\xff\xfe", "-", "--dir", "new\nline", "é", ".hidden", strings.Repeat("n", 255), "\"quoted\""}
	for _, name := range names {
		require.NoError(t, os.MkdirAll(filepath.Join(src, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(src, name, name), []byte(name), 0o600))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(src, "empty", "below"), 0o755))
	require.NoError(t, os.Symlink("..", filepath.Join(src, "up")))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(src, "zero")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(src, "dangling")))
	require.NoError(t, exec.Command("mkfifo", filepath.Join(src, "pipe")).Run())
	require.NoError(t, os.Symlink("src", filepath.Join(dir, "link to src")))

	// The database in its own tree is no file of it; nor is its log, which grows as it is loaded.
	db := filepath.Join(src, "db")
	want := fmt.Sprintf("%d keys, %d buckets", len(names), len(names)+2)
	require.Contains(t, must(t, "", "load", db, "--dir", src), want)
	require.Equal(t, "\xff\xfe", must(t, "", "get", db, "-b", "\xff\xfe", "\xff\xfe"))
	require.NoError(t, os.Remove(db))
	db = filepath.Join(dir, "db")
	require.Contains(t, must(t, "", "load", db, "--dir", filepath.Join(dir, "link to src")), want)
	require.Contains(t, must(t, "", "load", db+".empty", "--dir", filepath.Join(src, "empty")), "0 keys, 1 buckets")

	file := filepath.Join(src, "a b", "a b")
	for _, c := range []struct {
		dir, text string
		code      int
	}{
		{file, "not a directory", exitOther},
		{filepath.Join(src, "absent"), "no such file", exitNotFound},
		{filepath.Join(src, "dangling"), "no such file", exitNotFound},
	} {
		out, code := tool(t, "", "load", filepath.Join(dir, "other"), "--dir", c.dir)
		require.Equal(t, c.code, code, out)
		require.Contains(t, out, c.text)
	}
	out, code := tool(t, "", "load", filepath.Join(dir, "small pages"), "--dir", src, "--page-size", "512")
	require.Equal(t, exitOther, code, out)
	require.Contains(t, out, strings.Repeat("n", 255)+": ", "it says which name is too long")
	if os.Getuid() != 0 { // permissions bind nobody else
		require.NoError(t, os.Chmod(file, 0))
		out, code = tool(t, "", "load", filepath.Join(dir, "unreadable"), "--dir", src)
		require.Equal(t, exitOther, code, out)
		require.Contains(t, out, file)
	}
}

// A reader of the output that has enough ends the command, quietly; the database is closed.
func TestBrokenPipe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("pipes break otherwise here")
	}
	db := filepath.Join(t.TempDir(), "db")
	var lines strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&lines, "{\"key\":\"%04d\",\"value\":%q}\n", i, strings.Repeat("v", 200))
	}
	must(t, lines.String(), "load", db)
	for _, args := range [][]string{{"scan", db}, {"dump", db}, {"copy", db, "-"}} {
		cmd := process(args...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = out.Read(make([]byte, 10))
		require.NoError(t, err)
		require.NoError(t, out.Close())
		err = cmd.Wait()
		require.Error(t, err)
		require.Equal(t, exitOther, cmd.ProcessState.ExitCode(), "%v: %v", args, err)
		require.Empty(t, errs.String())
	}
	require.Contains(t, must(t, "", "check", db), "no damage")
}

// An interrupt in the middle of a load, which waits for its input, leaves a closed database with what was committed.
func TestInterruptLoad(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can be interrupted here")
	}
	for _, loaded := range []bool{false, true} {
		db := filepath.Join(t.TempDir(), "db")
		cmd := process("load", db)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		w := bufio.NewWriter(in)
		n := 10
		if loaded {
			n = 4000 // more than one transaction, and than what a pipe holds: what has been written has been read, for the most part
		}
		for i := range n {
			fmt.Fprintf(w, "{\"key\":\"%04d\",\"value\":%q}\n", i, strings.Repeat("v", 4000))
		}
		require.NoError(t, w.Flush())
		for { // it is on its way when its files are there
			if _, err := os.Stat(db + "-wal"); err == nil || !loaded {
				if _, err := os.Stat(db); err == nil {
					break
				}
			}
			runtime.Gosched()
		}
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.Error(t, cmd.Wait())
		require.Equal(t, exitOther, cmd.ProcessState.ExitCode(), errs.String())
		require.Contains(t, errs.String(), "interrupted")
		in.Close()
		info := must(t, "", "info", db)
		require.Contains(t, info, "yes: the file alone is complete")
		require.Contains(t, must(t, "", "check", db), "no damage")
		keys := strings.Count(must(t, "", "scan", db, "--keys"), "\n")
		if loaded || keys > 0 { // else it may have been interrupted while it opened the database
			require.Contains(t, errs.String(), fmt.Sprintf("(%d keys were loaded before)", keys))
		}
		if loaded {
			require.Positive(t, keys)
		}
	}
}

var _ stdio.Reader = (*interruptedReader)(nil)
