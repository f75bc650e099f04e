package bugs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the set promises to those who use it.
const (
	patchesMin  = 30
	perLayerMin = 5
	changedMax  = 15 // lines that a patch adds, or takes away
)

// root is the tree that the patches are for.
const root = "../../.."

func TestAll(t *testing.T) {
	all := All()
	require.GreaterOrEqual(t, len(all), patchesMin)
	count := map[string]int{}
	names := map[string]bool{}
	for i, p := range all {
		number, name, _ := strings.Cut(p.Name, "-")
		require.Equal(t, fmt.Sprintf("%02d", i+1), number, "numbers have no gaps")
		require.Regexp(t, "^[a-z]+(-[a-z]+)+$", name)
		require.False(t, names[name], "%s is there twice", name)
		names[name] = true
		require.Contains(t, Layers(), p.Layer, p.Name)
		count[p.Layer]++
		require.Regexp(t, `^(by reasoning|(Test|Fuzz)\w+ \(\w+\) fails)$`, p.Seen, p.Name)
		if p.Elsewhere != "" {
			require.NotEqual(t, "by reasoning", p.Seen, "%s: which test meets it?", p.Name)
		}
	}
	for _, layer := range Layers() {
		require.GreaterOrEqual(t, count[layer], perLayerMin, layer)
	}
}

func TestParse(t *testing.T) {
	const diff = "\ndiff --git a/x b/x\n"
	cases := []struct {
		name, data, want string // in the error; "" for none
	}{
		{"whole", "Layer: io\nBug: b\n  goes on\nEffect: e\nSeen: by reasoning\n" + diff, ""},
		{"no diff", "Layer: io\nBug: b\nEffect: e\nSeen: s\n", "no diff"},
		{"missing", "Layer: io\nBug: b\nSeen: s\n" + diff, "no field Effect"},
		{"empty", "Layer: io\nBug: \nEffect: e\nSeen: s\n" + diff, "empty"},
		{"twice", "Layer: io\nLayer: io\nBug: b\nEffect: e\nSeen: s\n" + diff, "second"},
		{"unknown", "Layer: io\nAuthor: a\nBug: b\nEffect: e\nSeen: s\n" + diff, "unknown"},
		{"nothing to go on with", "  io\nBug: b\nEffect: e\nSeen: s\n" + diff, "unknown"},
	}
	for _, c := range cases {
		p, err := parse(c.name, []byte(c.data))
		if c.want != "" {
			require.ErrorContains(t, err, c.want, c.name)
			continue
		}
		require.NoError(t, err, c.name)
		require.Equal(t, Patch{Name: c.name, Layer: "io", Bug: "b goes on", Effect: "e", Seen: "by reasoning", Bytes: []byte(c.data)}, p)
	}
}

var fileLine = regexp.MustCompile(`(?m)^diff --git a/(\S+) b/(\S+)$`)

// A patch is small, and changes the code of its layer, no test.
func TestPatchesStayInTheirLayer(t *testing.T) {
	folders := map[string][]string{
		"io": {"io", "types"}, "wal": {"wal"}, "pager": {"pager"}, "btree": {"btree"}, "pawl": {"."},
	}
	for _, p := range All() {
		touched := fileLine.FindAllStringSubmatch(string(p.Bytes), -1)
		require.NotEmpty(t, touched, p.Name)
		for _, m := range touched {
			require.Equal(t, m[1], m[2], p.Name)
			require.Contains(t, folders[p.Layer], filepath.ToSlash(filepath.Dir(m[1])), p.Name)
			require.True(t, strings.HasSuffix(m[1], ".go") && !strings.HasSuffix(m[1], "_test.go"), "%s: %s", p.Name, m[1])
		}
		added, gone := 0, 0
		for line := range strings.SplitSeq(string(p.Bytes), "\n") {
			switch {
			case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
			case strings.HasPrefix(line, "+"):
				added++
			case strings.HasPrefix(line, "-"):
				gone++
			}
		}
		require.Positive(t, added+gone, p.Name)
		require.LessOrEqual(t, max(added, gone), changedMax, p.Name)
	}
}

// Every patch applies to the tree as it is, whether that is a repository, lies inside of one, or neither.
func TestPatchesApply(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is needed to see whether the patches apply: ", err)
	}
	top, err := filepath.Abs(root)
	require.NoError(t, err)
	for _, p := range All() {
		for _, m := range fileLine.FindAllStringSubmatch(string(p.Bytes), -1) {
			_, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(m[1]))) // so that a result that was kept goes by what is in it
			require.NoError(t, err, p.Name)
		}
		out, err := apply(git, top, p.Bytes)
		require.NoError(t, err, "%s\n%s", p.Name, out)
	}
	wrong := bytes.Replace(All()[0].Bytes, []byte("\n-"), []byte("\n-x"), 1)
	_, err = apply(git, top, wrong)
	require.Error(t, err, "a patch that does not fit is noticed")
}

// apply asks git whether it would apply a patch to the tree at top.
func apply(git, top string, patch []byte) (out []byte, err error) {
	cmd := exec.Command(git, "apply", "--check", "-")
	cmd.Dir, cmd.Stdin = top, bytes.NewReader(patch)
	// Inside of another repository git would look at that one's files.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	cmd.Env = append(cmd.Env, "GIT_CEILING_DIRECTORIES="+filepath.Dir(top))
	return cmd.CombinedOutput()
}

// README.md lists every patch, and nothing else.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var rows, want []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if regexp.MustCompile(`^\| \d`).MatchString(line) {
			rows = append(rows, line)
		}
	}
	for _, p := range All() {
		number, name, _ := strings.Cut(p.Name, "-")
		want = append(want, fmt.Sprintf("| %s | %s | %s | %s |", number, name, p.Layer, p.Bug))
	}
	require.Equal(t, want, rows)
}
