package lint

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// depsAllowed are the modules outside of the standard library that users of pawl get.
var depsAllowed = []string{Module, "github.com/cespare/xxhash/v2", "golang.org/x/sys"}

// Dependencies lists the packages outside of the standard library that the given packages are made of on the operating
// system goos, as the go command run in dir sees it.
func Dependencies(dir, goos string, packages ...string) ([]string, error) {
	args := append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}, packages...)
	out, err := goCommand(dir, []string{"GOOS=" + goos, "CGO_ENABLED=0"}, args...)
	return strings.Fields(string(out)), err
}

// CheckDependencies returns a finding for each package of the list that users of pawl must not get.
func CheckDependencies(packages []string) []Finding {
	var found []Finding
	for _, p := range packages {
		allowed := false
		for _, module := range depsAllowed {
			allowed = allowed || p == module || strings.HasPrefix(p, module+"/")
		}
		if !allowed {
			found = append(found, Finding{Rule: "deps", Message: "must not depend on " + p})
		}
	}
	return found
}

// goCommand runs the go command in dir and returns what it prints.
func goCommand(dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}
