package lint

import (
	"path"
	"regexp"
	"strings"
)

// maxLines is how long a file may be that is no test.
const maxLines = 600

// checkStdio keeps io the name of ours alone.
func checkStdio(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		for _, spec := range f.ast.Imports {
			name := ""
			if spec.Name != nil {
				name = spec.Name.Name
			}
			switch importPath(spec) {
			case "io":
				if name != "stdio" {
					found = append(found, t.at(spec.Pos(), "stdio", "import the standard io as stdio"))
				}
			case Module + "/io":
				if name != "" && name != "_" {
					found = append(found, t.at(spec.Pos(), "stdio", "import %s/io under its own name", Module))
				}
			}
		}
	}
	return found
}

// checkSize keeps files short enough to hold one idea.
func checkSize(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		if !f.test && f.lines > maxLines {
			found = append(found, t.at(f.ast.FileStart, "size", "%d lines, the most is %d", f.lines, maxLines))
		}
	}
	return found
}

// checkDoc asks every package for a comment, and for one place to look for it.
func checkDoc(t *Tree) []Finding {
	var found []Finding
	documented := make(map[string]bool)
	for _, f := range t.files {
		if path.Base(f.name) == "doc.go" && f.ast.Doc != nil {
			documented[f.dir] = true
		}
	}
	reported := make(map[string]bool)
	for _, f := range t.files {
		if f.test || f.ast.Name.Name == "main" || documented[f.dir] || reported[f.dir] {
			continue
		}
		reported[f.dir] = true
		found = append(found, t.at(f.ast.Package, "doc", "package %s has no comment in doc.go", f.ast.Name.Name))
	}
	return found
}

// later are the words that mark work as not done. They are put together here so that this file has none of them.
var later = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"}, "|") + `)\b`)

// checkWords finds work that is left for later.
func checkWords(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.files {
		line := 0
		for text := range strings.Lines(f.text) {
			line++
			for _, word := range later.FindAllString(text, -1) {
				found = append(found, Finding{File: f.name, Line: line, Rule: "words", Message: word + " leaves work for later"})
			}
		}
	}
	return found
}
