package up

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Step is a part of the guide.
type Step struct {
	// Name is one word: "image".
	Name string
	// Already says what is so already, in a few words; "" when the step is to be done. It changes nothing. nil is a step that is
	// done each time.
	Already func(ctx context.Context) (string, error)
	// Do does it and says, in a few words, what is so now. When it returns an error, or its context ends, nothing half-made is
	// left. An error that is [Already] means that there was nothing to do.
	Do func(ctx context.Context) (string, error)
}

// Already says what is so already, of a step that only finds out on its way.
type Already string //nolint:errname // read as up.Already

// Error gives the words.
func (a Already) Error() string { return "already done: " + string(a) }

// Names are those of steps, in their order.
func Names(steps []Step) []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
	}
	return names
}

// Run goes through the steps up to the one named until ("" is the last), and tells out about it. It ends at the first that
// can't be done, with an error that says what to do, or with ctx.
func Run(ctx context.Context, steps []Step, until string, out *Printer) error {
	for i, s := range steps {
		out.head(i+1, len(steps), s.Name)
		if err := s.run(ctx, out); err != nil {
			if ctx.Err() != nil || errors.Is(err, context.Canceled) {
				return fmt.Errorf("interrupted in step %s: %w; mayfly up goes on from there", s.Name, err)
			}
			return fmt.Errorf("step %s: %w; then mayfly up goes on from there", s.Name, err)
		}
		if s.Name == until {
			if i+1 < len(steps) {
				out.end("Stopped after step " + s.Name + " as asked. Next: mayfly up goes on with " + strings.Join(Names(steps[i+1:]), ", ") + ".")
			}
			return nil
		}
	}
	return nil
}

func (s Step) run(ctx context.Context, out *Printer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.Already != nil {
		so, err := s.Already(ctx)
		if err != nil {
			return err
		}
		if so != "" {
			out.Line("already done: " + so)
			return nil
		}
	}
	began := time.Now()
	so, err := s.Do(ctx)
	var already Already
	switch {
	case errors.As(err, &already):
		out.Line(already.Error())
		return nil
	case err != nil:
		return err
	}
	out.Line(fmt.Sprintf("done in %s: %s", Took(time.Since(began)), so))
	return nil
}
