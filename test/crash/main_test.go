//go:build crash

package crash

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Deadlines that end what hangs. All are far above what is usual.
const (
	patience    = 4 * time.Minute  // of anything that is waited for in a window
	termination = 30 * time.Second // from SIGTERM to the end; a dispatcher has 20 s
	beginning   = 30 * time.Second // until a stand-in says where it listens
)

// together is how many kills are tried at once, where -parallel doesn't say it: they spend their time waiting.
const together = "32"

// binary is the program under test.
var binary string

func TestMain(m *testing.M) {
	if f := flag.Lookup("test.parallel"); f != nil {
		_ = f.Value.Set(together) // a number
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mayfly-crash-")
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
