package up

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// guide is three steps over a world that is one word for each.
func guide(world map[string]bool, do func(ctx context.Context, name string) error) []Step {
	var steps []Step
	for _, name := range []string{"one", "two", "three"} {
		steps = append(steps, Step{
			Name: name,
			Already: func(context.Context) (string, error) {
				if world[name] {
					return name + " is so", nil
				}
				return "", nil
			},
			Do: func(ctx context.Context) (string, error) {
				if err := do(ctx, name); err != nil {
					return "", err
				}
				world[name] = true
				return "made " + name, nil
			},
		})
	}
	return steps
}

func run(ctx context.Context, steps []Step, until string) (string, error) {
	var out strings.Builder
	err := Run(ctx, steps, until, NewPrinter(&out))
	return out.String(), err
}

func TestStepsAreDoneOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := map[string]bool{"two": true}
		steps := guide(world, func(context.Context, string) error {
			time.Sleep(75 * time.Second)
			return nil
		})
		out, err := run(t.Context(), steps, "")
		want := "1/3  one\n     done in 1 min 15 s: made one\n2/3  two\n     already done: two is so\n3/3  three\n     done in 1 min 15 s: made three\n"
		if err != nil || out != want {
			t.Errorf("%v\n%s", err, out)
		}
		if out, err = run(t.Context(), steps, ""); err != nil || strings.Count(out, "already done: ") != 3 {
			t.Errorf("again: %v\n%s", err, out)
		}
	})
}

func TestUntilEndsAfterItsStepAndSaysWhatIsNext(t *testing.T) {
	world := map[string]bool{}
	out, err := run(t.Context(), guide(world, func(context.Context, string) error { return nil }), "one")
	if err != nil || world["two"] || !strings.HasSuffix(out, "\nStopped after step one as asked. Next: mayfly up goes on with two, three.\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAStepThatIsInterruptedOrStoppedIsTakenUpAgain ends the guide in each of its steps, in two ways.
func TestAStepThatIsInterruptedOrStoppedIsTakenUpAgain(t *testing.T) {
	for _, name := range []string{"one", "two", "three"} {
		for _, interrupted := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			world, trouble := map[string]bool{}, true
			cure := errors.New("do x: it is blue; paint it")
			steps := guide(world, func(_ context.Context, at string) error {
				if at != name || !trouble {
					return nil
				}
				if interrupted {
					cancel()
					return ctx.Err()
				}
				return cure
			})
			out, err := run(ctx, steps, "")
			want := "step " + name + ": do x: it is blue; paint it; then mayfly up goes on from there"
			if interrupted {
				want = "interrupted in step " + name + ": context canceled; mayfly up goes on from there"
			}
			if err == nil || err.Error() != want || world[name] {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
			trouble = false
			out, err = run(t.Context(), steps, "")
			if err != nil || !world["three"] || !strings.Contains(out, name+"\n     done in 0 s: made "+name+"\n") {
				t.Errorf("%s again: %v\n%s", name, err, out)
			}
			cancel()
		}
	}
}

func TestAStepThatFindsNothingToDoIsAlreadyDone(t *testing.T) {
	steps := []Step{{Name: "one", Do: func(context.Context) (string, error) { return "", Already("it is") }}, {Name: "two", Do: func(context.Context) (string, error) { return "so", nil }}}
	if out, err := run(t.Context(), steps, ""); err != nil || out != "1/2  one\n     already done: it is\n2/2  two\n     done in 0 s: so\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAStepThatCantBeJudgedStops(t *testing.T) {
	boom := errors.New("look at x: no answer; wait")
	steps := []Step{{Name: "one", Already: func(context.Context) (string, error) { return "", boom }, Do: func(context.Context) (string, error) {
		t.Error("done all the same")
		return "", nil
	}}}
	if _, err := run(t.Context(), steps, ""); !errors.Is(err, boom) {
		t.Error(err)
	}
}

func TestLinesKeepToTheTerminalAndCommandsStayWhole(t *testing.T) {
	var out strings.Builder
	p := NewPrinter(&out)
	long := strings.Repeat("word ", 40)
	p.Line(long)
	p.at(61*time.Second, long)
	command := "pveum " + strings.Repeat("--option=value ", 10)
	p.Verbatim(command)
	if !strings.Contains(out.String(), command) || !strings.Contains(out.String(), "\n      1:01  word") {
		t.Errorf("printed:\n%s", out.String())
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 && !strings.Contains(line, "pveum") {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
