package process

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// program is where [Main] built the program under test.
var program string

// Program is the path of the program under test, which [Main] has built.
func Program() string { return program }

// Main is the TestMain of packages whose tests run the program under test: it builds that and runs the tests, together at
// once where that isn't 0 (tests that spend their time waiting can be many more than processors). It returns the exit code.
func Main(m *testing.M, together int) int {
	if f := flag.Lookup("test.parallel"); f != nil && together > 0 {
		_ = f.Value.Set(strconv.Itoa(together)) // a number; -parallel overrides it
	}
	flag.Parse()
	dir, err := os.MkdirTemp("", "mayfly-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "mayfly")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", program, "mayfly/cmd/mayfly")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build mayfly:", err)
		return 1
	}
	return m.Run()
}
