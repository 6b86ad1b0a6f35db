package secrets

import (
	"strings"
	"testing"

	"mayfly/test/process"
)

// heard is a process and all that it writes.
type heard struct {
	*process.Process
	out process.Journal
}

// launch starts a program in the folder dir with nothing in its environment but env.
func launch(t *testing.T, dir, stdin string, env []string, program string, args ...string) *heard {
	t.Helper()
	h := &heard{}
	h.Process = process.Start(t, process.Options{
		Dir: dir, Env: env, Stdin: strings.NewReader(stdin), Stdout: &h.out, Stderr: &h.out,
	}, program, args...)
	return h
}
