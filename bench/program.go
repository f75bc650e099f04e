package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	stdio "io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pawldb/pawl/bench/internal/machine"
)

// ownPrefix is what the import paths of pawl and of this module begin with.
const ownPrefix = "github.com/pawldb/pawl"

// fingerprint tells configurations and programs apart, but not where they lie: the same source, compiled the same way
// by the same Go with the same modules, has the same one on each machine, whatever else a commit has changed. What go
// list finds is what go run has compiled; who runs a program that was built before has to see to it that the source is
// still that.
func (c config) fingerprint() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, c.text())
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Replace == nil { // what replaces a module is source below
				fmt.Fprintln(h, m.Path, m.Version, m.Sum)
			}
		}
		for _, s := range info.Settings {
			if !strings.HasPrefix(s.Key, "vcs") && s.Key != "-trimpath" {
				fmt.Fprintln(h, s.Key, s.Value)
			}
		}
	}
	files, err := sources()
	if err != nil {
		return "", err
	}
	for _, f := range files {
		b, err := os.ReadFile(f.path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", f.name, sha256.Sum256(b))
	}
	if len(files) == 0 {
		err = hashProgram(h)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// sourceFile is a file that is compiled into this program.
type sourceFile struct {
	name string // with the import path of its package
	path string
}

// sources lists the source of this program: its own, and that of the packages of pawl that it imports, without tests. It is
// empty where go list can't tell, because the program is not run in its module.
func sources() (files []sourceFile, err error) {
	out, err := exec.Command("go", "list", "-deps",
		"-json=ImportPath,Dir,GoFiles,CgoFiles,CFiles,HFiles,SFiles,EmbedFiles", ownPrefix+"/bench").Output()
	if err != nil {
		return nil, nil
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir                                       string
			GoFiles, CgoFiles, CFiles, HFiles, SFiles, EmbedFiles []string
		}
		if err := d.Decode(&p); errors.Is(err, stdio.EOF) {
			return files, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.ImportPath != ownPrefix && !strings.HasPrefix(p.ImportPath, ownPrefix+"/") {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.CFiles, p.HFiles, p.SFiles, p.EmbedFiles) {
			files = append(files, sourceFile{p.ImportPath + "/" + name, filepath.Join(p.Dir, name)})
		}
	}
}

// hashProgram adds the program's file to a hash.
func hashProgram(h hash.Hash) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = stdio.Copy(h, f)
	return err
}

// shape says what kind of machine this is: figures of two kinds are not to be mixed.
func (c config) shape() string {
	return fmt.Sprintf("%d processors, %s", runtime.GOMAXPROCS(0), machine.Describe(c.storesDir()))
}
