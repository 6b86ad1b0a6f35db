package secrets

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// together is how many lives go on at once, where -parallel doesn't say it: they spend their time waiting.
const together = "8"

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		child(role)
	}
	if f := flag.Lookup("test.parallel"); f != nil {
		_ = f.Value.Set(together) // a number
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mayfly-secrets-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "mayfly")
	build := exec.Command("go", "build", "-o", binary, "mayfly/cmd/mayfly")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build mayfly:", err)
		return 1
	}
	return m.Run()
}
