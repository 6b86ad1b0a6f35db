package setup_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/cli"
)

// screen collects what is written, and says when something was.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// wait waits until a text is there from an offset on, and gives the offset behind it; -1 when it never comes.
func (s *screen) wait(t *testing.T, text string, from int) int {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		if at := strings.Index(s.String()[from:], text); at >= 0 {
			return from + at + len(text)
		}
		select {
		case <-s.more:
		case <-limit:
			t.Errorf("%q isn't asked:\n%s", text, s)
			return -1
		}
	}
}

// start runs the command in the background; the channel gives its exit code.
func (s *servers) start(ctx context.Context, in io.Reader, out io.Writer) <-chan int {
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main(ctx, []string{"init", "--config", s.dir + "/mayfly.yaml"}, in, out, out, nil)
	}()
	return ended
}

// TestCtrlCEndsAQuestionAndNothingIsWritten ends the command while it waits, and while it asks a server.
func TestCtrlCEndsAQuestionAndNothingIsWritten(t *testing.T) {
	s := serve(t, serverOptions{})
	for at, asked := range map[int]string{0: "Address", 2: "Token id", 3: "Token secret", 7: "VMIDs", 9: "Token of GitHub", 11: "Runners at once"} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			s := *s
			s.dir = t.TempDir()
			in, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = in.Close(), w.Close() }()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := newScreen()
			ended := s.start(ctx, in, out)
			for _, answer := range s.answers()[:at] {
				if _, err := io.WriteString(w, answer+"\n"); err != nil {
					t.Fatal(err)
				}
			}
			out.wait(t, asked, 0)
			cancel()
			if code := <-ended; code != cli.ExitFailure || !strings.HasSuffix(out.String(), "mayfly: init: interrupted; nothing was written\n") {
				t.Errorf("exit code %d:\n%s", code, out)
			}
			s.nothingWritten(t)
		})
	}
}
