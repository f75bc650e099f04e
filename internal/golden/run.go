package golden

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected outputs of golden files")

// mismatch is a block that printed something else than its file says.
type mismatch struct {
	cmd       Command
	want, got string
}

// Run calls fn for every command of the file at path, in order, and compares what it returns with the file's output.
// A difference fails the test and the next command runs; with -update it goes into the file instead. Newlines at the
// end of an output don't count.
func Run(t *testing.T, path string, fn func(t *testing.T, cmd Command) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	updated, wrong, err := execute(path, string(text), func(cmd Command) string { return fn(t, cmd) })
	if err != nil {
		t.Fatal(err)
	}
	if !*update {
		for _, m := range wrong {
			t.Errorf("%s: %s printed\n%swant\n%s", m.cmd.Pos, m.cmd.Name, indent(m.got), indent(m.want))
		}
		return
	}
	if t.Failed() || updated == string(text) {
		return // a failed run has printed nothing that is worth keeping
	}
	if err := os.WriteFile(path, []byte(updated), 0o644); err != nil {
		t.Fatal(err)
	}
}

// execute runs the commands of a file and returns its text with the outputs that came, and which of them differ. A file
// without a command is an error: it would test nothing.
func execute(name, text string, fn func(Command) string) (updated string, wrong []mismatch, err error) {
	blocks, tail, err := parse(name, text)
	if err != nil {
		return "", nil, err
	}
	if len(blocks) == 0 {
		return "", nil, fmt.Errorf("%s: no command in the file", name)
	}
	var out strings.Builder
	for i, b := range blocks {
		got := normalize(fn(b.cmd))
		if got != normalize(b.want) {
			wrong = append(wrong, mismatch{cmd: b.cmd, want: b.want, got: got})
		}
		written, fenced, err := writeOutput(got)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", b.cmd.Pos, err)
		}
		out.WriteString(b.head)
		out.WriteString(written)
		next := tail
		if i+1 < len(blocks) {
			next = blocks[i+1].head
		}
		if !fenced && next != "" && next[0] != '\n' {
			out.WriteString("\n") // the old output was fenced and needed no blank line behind it
		}
	}
	out.WriteString(tail)
	return out.String(), wrong, nil
}

// indent sets an output off from the words around it.
func indent(output string) string {
	if output == "" {
		return "\t(nothing)"
	}
	return "\t" + strings.ReplaceAll(strings.TrimSuffix(output, "\n"), "\n", "\n\t")
}
