package setup_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mayfly/internal/cli"
)

// terminal opens a pseudo-terminal: what a person types into, and the program's end of it (pts(4)).
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

// typing answers on a terminal as a person does, after each question; what is shown is all that the person sees. It gives the
// terminal's settings before and after, too.
func (s *servers) typing(t *testing.T, keys [][2]string) (code int, shown string, settings [2]unix.Termios) {
	t.Helper()
	person, program := terminal(t)
	look := func() unix.Termios {
		now, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return *now
	}
	settings[0] = look()
	out := newScreen()
	read := make(chan struct{})
	go func() { // prompts, and what the terminal echoes
		defer close(read)
		_, _ = io.Copy(out, person)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ended := s.start(ctx, program, program)
	at := 0
	for _, k := range keys {
		if at = out.wait(t, k[0], at); at < 0 {
			cancel()
			break
		}
		if _, err := io.WriteString(person, k[1]); err != nil {
			t.Fatal(err)
		}
	}
	code = <-ended
	settings[1] = look()
	if err := program.Close(); err != nil {
		t.Error(err)
	}
	<-read // with its other end closed, the read ends
	return code, out.String(), settings
}

func TestOnATerminalSecretsAreNotShownAndCanBeCorrected(t *testing.T) {
	s := serve(t, serverOptions{})
	a := s.answers()
	code, shown, _ := s.typing(t, [][2]string{
		{"Address", a[0] + "\r"},
		{"Pin it?", "yes\r"},
		{"Token id", a[2] + "\r"},
		{"Token secret (not shown): ", "mistyped\x15" + a[3] + "\x1b[D" + "zz\x7f\r"}, // Ctrl-U, an arrow, a backspace too few
		{"Token id", a[2] + "\r"},
		{"Token secret (not shown): ", "\x1b[200~" + a[3] + "\x1b[201~z\x08\r"}, // pasted, in the brackets of some terminals
		{"Node for", "1\r"},
		{"Resource pool", "1\r"},
		{"Template, or", "2\r"},
		{"VMIDs", "\r"},
		{"Repository (", s.repo + "\r"},
		{"Token of GitHub", a[9] + "\r"},
		{"Labels", "\r"},
		{"Runners at", "\r"},
	})
	if code != cli.ExitOK {
		t.Fatalf("exit code %d\n%s", code, shown)
	}
	for _, secret := range append(s.revealed, "mistyped") {
		if strings.Contains(shown, secret) {
			t.Errorf("a secret is shown:\n%s", shown)
		}
	}
	if !strings.Contains(shown, a[2]) {
		t.Error("what isn't secret isn't shown")
	}
	c := s.loaded(t)
	if c.Proxmox.TokenSecret.Reveal() != s.info.TokenSecret || c.Proxmox.ResourcePool != "ci" || c.Pools[0].Template != "ubuntu-2204-runner-template" {
		t.Errorf("loaded %+v", c.Proxmox)
	}
}

func TestCtrlCAtAHiddenQuestionLeavesTheTerminalAsItWas(t *testing.T) {
	s := serve(t, serverOptions{})
	a := s.answers()
	code, shown, settings := s.typing(t, [][2]string{{"Address", a[0] + "\r"}, {"Pin it?", "yes\r"}, {"Token id", a[2] + "\r"}, {"Token secret", "half\x03"}})
	if code != cli.ExitFailure || !strings.Contains(shown, "interrupted; nothing was written") || strings.Contains(shown, "half") {
		t.Errorf("exit code %d:\n%s", code, shown)
	}
	if settings[0] != settings[1] {
		t.Errorf("the terminal is set up otherwise: %+v; was %+v", settings[1], settings[0])
	}
	s.nothingWritten(t)
}

// TestAWrongAnswerIsAskedForAsOftenAsAPersonGivesIt answers wrongly more often than a script may.
func TestAWrongAnswerIsAskedForAsOftenAsAPersonGivesIt(t *testing.T) {
	s := serve(t, serverOptions{})
	keys := [][2]string{}
	for range 5 {
		keys = append(keys, [2]string{"Address", "not an address\r"})
	}
	keys = append(keys, [2]string{"Address", s.answers()[0] + "\r"}, [2]string{"Pin it?", "yes\r"}, [2]string{"Token id", "x\r"}, [2]string{"Token id", "y\r"},
		[2]string{"Token id", "a@pam!other\r"}, [2]string{"Token secret", "\x04"})
	if code, shown, _ := s.typing(t, keys); code != cli.ExitFailure || !strings.Contains(shown, "interrupted") {
		t.Errorf("exit code %d:\n%s", code, shown)
	}
}
