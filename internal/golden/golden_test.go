package golden

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// play is the commands that this package's own files use.
func play(cmd Command) string {
	switch cmd.Name {
	case "show":
		var out strings.Builder
		fmt.Fprintf(&out, "words %q\n", cmd.Words())
		for _, a := range cmd.Args {
			if a.Key != "" {
				fmt.Fprintf(&out, "%s = %s\n", a.Key, a.Value)
			}
		}
		if cmd.Input != "" {
			fmt.Fprintf(&out, "input %q\n", cmd.Input)
		}
		return out.String()
	case "silent":
		return ""
	case "paragraphs":
		return "one\n\n----\ntwo"
	case "echo":
		return strings.Join(cmd.Words(), " ")
	}
	return "unknown command " + cmd.Name
}

func TestRun(t *testing.T) {
	count := 0
	Run(t, "testdata/commands.txt", func(_ *testing.T, cmd Command) string {
		count++
		return play(cmd)
	})
	if count != 5 {
		t.Errorf("%d commands ran, want 5", count)
	}
}

// childVar names the file that a child process of the tests runs.
const childVar = "PAWL_GOLDEN_CHILD"

// TestChild is what a child process runs: Run on the file that its environment names.
func TestChild(t *testing.T) {
	path := os.Getenv(childVar)
	if path == "" {
		t.Skip("runs only as a child of the other tests")
	}
	Run(t, path, func(t *testing.T, cmd Command) string {
		if cmd.Name == "fail" {
			t.Error("the command failed by itself")
		}
		return play(cmd)
	})
}

// child runs Run on path in a process of its own, since a test can't watch itself fail.
func child(t *testing.T, path string, args ...string) (output string, ok bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"-test.run=^TestChild$", "-test.v"}, args...)...)
	cmd.Env = append(os.Environ(), childVar+"="+path)
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return string(out), err == nil
}

func TestWrongExpectationFails(t *testing.T) {
	out, ok := child(t, "testdata/wrong.txt")
	if ok {
		t.Errorf("a wrong file passes:\n%s", out)
	}
	for _, want := range []string{"wrong.txt:6: echo printed", "wrong.txt:11: echo printed", "this", "that"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "wrong.txt:2") {
		t.Errorf("the right block is reported too:\n%s", out)
	}
}

func TestUpdateWritesOutputsOnly(t *testing.T) {
	wrong, err := os.ReadFile("testdata/wrong.txt")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "updated.txt")
	if err := os.WriteFile(path, wrong, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, ok := child(t, path, "-update"); !ok {
		t.Fatalf("-update fails:\n%s", out)
	}
	want := strings.Replace(strings.Replace(string(wrong), "\nthat\n", "\nthis\n", 1), "\nbefore\n", "\nafter\n", 1)
	if got := readFile(t, path); got != want {
		t.Errorf("updated file:\n%s\nwant:\n%s", got, want)
	}
	if out, ok := child(t, path); !ok {
		t.Errorf("the updated file fails:\n%s", out)
	}
}

// A run that failed by itself must not become the expectation.
func TestUpdateKeepsFileOfFailedRun(t *testing.T) {
	const text = "fail\n----\nwhat it should print\n"
	path := filepath.Join(t.TempDir(), "failed.txt")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, ok := child(t, path, "-update"); ok {
		t.Errorf("the failure got lost:\n%s", out)
	}
	if got := readFile(t, path); got != text {
		t.Errorf("file became:\n%s", got)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Updating a right file changes no byte; the outputs of an emptied one come back whatever the form they need.
func TestExecuteRoundTrips(t *testing.T) {
	text := readFile(t, "testdata/commands.txt")
	updated, wrong, err := execute("commands.txt", text, play)
	if err != nil || len(wrong) != 0 {
		t.Fatalf("%d mismatches, error %v", len(wrong), err)
	}
	if updated != text {
		t.Errorf("round trip changed the file to:\n%s", updated)
	}

	cases := []struct{ name, text, want string }{
		{"filled", "# c\necho a\n----\n\n# tail\n", "# c\necho a\n----\na\n\n# tail\n"},
		{"emptied", "silent\n----\nold\nlines\n\necho b\n----\nb\n", "silent\n----\n\necho b\n----\nb\n"},
		{"fenced", "paragraphs\n----\nold\n", "paragraphs\n----\n----\none\n\n----\ntwo\n----\n----\n"},
		{"unfenced", "echo a\n----\n----\nold\n\n----\n----\n# tail\n", "echo a\n----\na\n\n# tail\n"},
		{"no last newline", "echo a\n----", "echo a\n----\na\n"},
	}
	for _, c := range cases {
		updated, wrong, err := execute(c.name, c.text, play)
		if err != nil || len(wrong) != 1 || updated != c.want {
			t.Errorf("%s: %d mismatches, error %v, file:\n%s\nwant:\n%s", c.name, len(wrong), err, updated, c.want)
		}
		again, wrong, err := execute(c.name, updated, play)
		if err != nil || len(wrong) != 0 || again != updated {
			t.Errorf("%s: second run: %d mismatches, error %v, file:\n%s", c.name, len(wrong), err, again)
		}
	}
}

func TestExecuteRefuses(t *testing.T) {
	cases := []struct{ text, want string }{
		{"", "f: no command in the file"},
		{"# only a comment\n", "f: no command in the file"},
		{"\necho a\n", "f:2: command without a line ----"},
		{"echo a\n----\n----\nno end\n", "f:1: output between doubled separators has no end"},
		{"echo k=1 k=2\n----\n", "f:1: argument k is there twice"},
		{"k=1\n----\n", "f:1: argument k without a command"},
		{"echo \"a\n----\n", "f:1: quoted value without an end"},
		{"echo k=\"a\"b\n----\n", "f:1: no space behind the quoted value"},
		{"echo ---- \"----\n----\"\n----\n", "f:1: quoted value without an end"},
		{"fences\n----\n", "f:1: output holds the line ---- twice"},
	}
	for _, c := range cases {
		_, _, err := execute("f", c.text, func(cmd Command) string {
			if cmd.Name == "fences" {
				return "a\n----\n----\nb"
			}
			return play(cmd)
		})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("file %q: error %v, want %s", c.text, err, c.want)
		}
	}
}

func TestCommandArguments(t *testing.T) {
	cmd, err := parseCommand(`get page=7 size=0x10 empty= list=a,b`)
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Name != "get" || cmd.Int(t, "page") != 7 || cmd.Int(t, "size") != 16 {
		t.Errorf("parsed %+v", cmd)
	}
	if cmd.IntOr(t, "page", 3) != 7 || cmd.IntOr(t, "absent", 3) != 3 {
		t.Errorf("IntOr on %+v", cmd)
	}
	if cmd.StringOr("absent", "x") != "x" || cmd.StringOr("empty", "x") != "" || cmd.String(t, "list") != "a,b" {
		t.Errorf("strings of %+v", cmd)
	}
	if l := cmd.List("list"); len(l) != 2 || l[0] != "a" || l[1] != "b" {
		t.Errorf("list is %q", l)
	}
	if cmd.List("empty") != nil || cmd.List("absent") != nil {
		t.Errorf("empty lists are %q and %q", cmd.List("empty"), cmd.List("absent"))
	}
}
