package cli

import (
	"errors"
	"fmt"
	"strings"

	"mayfly/internal/config"
)

// The exit codes of every command.
const (
	// ExitOK says that the command did what it was asked.
	ExitOK = 0
	// ExitFailure says that it was asked rightly and could not.
	ExitFailure = 1
	// ExitUsage says that arguments or configuration are wrong: asking again the same way won't help.
	ExitUsage = 2
	// ExitWarning is mayfly check's: nothing keeps jobs from running, and something should be mended all the same.
	ExitWarning = 3
)

// usageError marks an error that a command finds itself in how it was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode writes the error to stderr and returns the code that stands for it.
func (a *app) exitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	var said saidError
	if errors.As(err, &said) {
		return said.code
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(a.stderr, "mayfly: %s\n", strings.TrimRight(line, "\n"))
	}
	var problems config.Problems
	var usage usageError
	if !a.started || errors.As(err, &problems) || errors.As(err, &usage) {
		return ExitUsage
	}
	return ExitFailure
}

// saidError ends a command with a code when everything there is to say has been written.
type saidError struct{ code int }

func (e saidError) Error() string { return fmt.Sprintf("exit code %d", e.code) }
