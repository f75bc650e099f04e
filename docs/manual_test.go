package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pawldb/pawl"
)

// documents are the texts that are held against the code, from this folder.
var documents = []string{"manual.md", "../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md"}

// block is a fenced block of a document.
type block struct {
	info string // behind the opening fence
	line int    // of the opening fence, from 1
	text string
}

// blocks returns the fenced blocks of a document, and the document without them.
func blocks(t *testing.T, name string) (list []block, prose string) {
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	var open *block
	var rest strings.Builder
	for i, line := range strings.Split(string(content), "\n") {
		fence, info := strings.CutPrefix(line, "```")
		switch {
		case open == nil && info:
			open = &block{info: fence, line: i + 1}
		case open != nil && line == "```":
			list = append(list, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			rest.WriteString(line + "\n")
		}
	}
	require.Nil(t, open, "%s: a fence is not closed", name)
	return list, rest.String()
}

// compiled returns the text of every Go file whose code the documents may show.
func compiled(t *testing.T) string {
	var all strings.Builder
	for _, pattern := range []string{"*_test.go", "../example_test.go", "../pawltest/*_test.go", "../wal/*.go", "../pager/*.go", "../btree/*.go", "../io/*.go"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			all.Write(content)
		}
	}
	return "\n" + all.String()
}

// indented puts n tabs in front of each line that is not empty.
func indented(text string, n int) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat("\t", n) + line
		}
	}
	return strings.Join(lines, "\n")
}

// Every Go block of the documents is, word for word, in code that is compiled and run.
func TestBlocksAreCompiled(t *testing.T) {
	code := compiled(t)
	seen := 0
	for _, name := range documents {
		list, _ := blocks(t, name)
		for _, b := range list {
			if b.info != "go" {
				continue
			}
			seen++
			found := false
			for n := range 4 {
				found = found || strings.Contains(code, "\n"+indented(b.text, n))
			}
			require.True(t, found, "%s:%d: no compiled file has this block:\n%s", name, b.line, b.text)
		}
	}
	require.Greater(t, seen, 15)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notSlug = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// Every link of the documents that leads into the repository leads to a file and to a heading that are there.
func TestLinks(t *testing.T) {
	for _, name := range documents {
		_, prose := blocks(t, name)
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), filepath.FromSlash(target))
				_, err := os.Stat(file)
				require.NoError(t, err, "%s links to %s", name, m[1])
			}
			if anchor == "" {
				continue
			}
			_, text := blocks(t, file)
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(text, -1) {
				slug := notSlug.ReplaceAllString(strings.ToLower(h[1]), "")
				anchors = append(anchors, strings.ReplaceAll(slug, " ", "-"))
			}
			require.Contains(t, anchors, anchor, "%s links to %s", name, m[1])
		}
	}
}

// The manual speaks of every option, every figure, and every event.
func TestManualIsComplete(t *testing.T) {
	content, err := os.ReadFile("manual.md")
	require.NoError(t, err)
	for _, of := range []any{pawl.Options{}, pawl.Stats{}, pawl.ReaderStats{}} {
		typ := reflect.TypeOf(of)
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() {
				require.True(t, strings.Contains(string(content), "`"+f.Name+"`"),
					"docs/manual.md does not explain %s.%s", typ.Name(), f.Name)
			}
		}
	}
	kind := pawl.EventOpen
	for ; !strings.HasPrefix(kind.String(), "EventKind("); kind++ {
		require.True(t, strings.Contains(string(content), "`"+kind.String()+"`"), "docs/manual.md does not explain event %v", kind)
	}
	require.Greater(t, kind, pawl.EventClose)
}

// Every file that the documents name by its path is there.
func TestNamedFilesExist(t *testing.T) {
	named := regexp.MustCompile("`([a-z]+(?:/[a-z_]+)+(?:\\.go|\\.md)?)`")
	for _, name := range documents {
		_, prose := blocks(t, name)
		for _, m := range named.FindAllStringSubmatch(prose, -1) {
			if !strings.Contains(m[1], ".") && !isLayer(m[1]) {
				continue
			}
			_, err := os.Stat(filepath.Join("..", filepath.FromSlash(m[1])))
			require.NotErrorIs(t, err, fs.ErrNotExist, fmt.Sprintf("%s names %s", name, m[1]))
		}
	}
}

// isLayer reports whether a path begins with a folder of the repository.
func isLayer(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	fi, err := os.Stat(filepath.Join("..", first))
	return err == nil && fi.IsDir()
}
