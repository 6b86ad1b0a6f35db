package fleet

import (
	"context"

	"mayfly/internal/runner"
)

// Sequence is what a simulation needs to make one run like the next: goroutines that wake at the same instant run in no fixed
// order, and names are random. Its zero value, which everybody else wants, waits for nobody and names at random.
type Sequence struct {
	// Turn is called by a goroutine of the controller before it goes on at an instant at which others may go on, too; it
	// returns when it is that goroutine's turn, or when ctx ends. who names the goroutine.
	Turn func(ctx context.Context, who string)
	// Settle is called by the controller's own goroutine when something has woken it; it returns when all that happens at
	// this instant has happened.
	Settle func()
	// NewName makes the name of a runner; nil is [runner.NewName].
	NewName func(prefix string) string
}

func (s Sequence) withDefaults() Sequence {
	if s.Turn == nil {
		s.Turn = func(context.Context, string) {}
	}
	if s.Settle == nil {
		s.Settle = func() {}
	}
	if s.NewName == nil {
		s.NewName = runner.NewName
	}
	return s
}
