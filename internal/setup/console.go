package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// console asks and reads lines, on a terminal or not. Nothing but plain text is written: it works on any terminal.
type console struct {
	in       io.Reader
	file     *os.File // in, where it is one
	terminal bool
	out      io.Writer
	buffer   []byte // read and not used yet
	ended    error
}

func newConsole(in io.Reader, out io.Writer) *console {
	c := &console{in: in, out: out}
	if f, ok := in.(*os.File); ok && f != nil {
		c.file, c.terminal = f, term.IsTerminal(int(f.Fd()))
	}
	return c
}

// say writes a line of its own.
func (c *console) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format+"\n", args...)
}

// head begins a part of the questions.
func (c *console) head(title string) { c.say("\n%s\n%s", title, strings.Repeat("-", len(title))) }

// errEnded says that there are no more answers.
var errEnded = errors.New("the input ends here")

// line asks, and reads a line. What isn't typed on a terminal isn't shown either: it may be a secret in the wrong place.
func (c *console) line(ctx context.Context, prompt string) (string, error) {
	_, _ = io.WriteString(c.out, prompt)
	text, err := c.read(ctx)
	if !c.terminal || err != nil {
		_, _ = io.WriteString(c.out, "\n")
	}
	return text, err
}

// read gives the next line without its end.
func (c *console) read(ctx context.Context) (string, error) {
	var line []byte
	for {
		b, err := c.next(ctx)
		switch {
		case err != nil && len(line) > 0 && errors.Is(err, errEnded):
			return clean(line), nil // the last line of a file without a line end
		case err != nil:
			return "", err
		case b == '\n':
			return clean(line), nil
		}
		if len(line) < longestAnswer {
			line = append(line, b)
		}
	}
}

// longestAnswer is far above any answer; what follows is dropped, so that a wrong file on standard input fills no memory.
const longestAnswer = 1 << 16

func clean(line []byte) string {
	return strings.TrimSpace(strings.ToValidUTF8(string(line), "\ufffd"))
}

// glance is how long a read waits at most before ctx is looked at again.
const glance = 100 * time.Millisecond

// next gives the next byte. A read of a file is only begun when there is something to read, so that ctx can end the wait.
func (c *console) next(ctx context.Context) (byte, error) {
	for len(c.buffer) == 0 {
		if ctx.Err() != nil {
			return 0, ErrInterrupted
		}
		if c.ended != nil {
			return 0, c.ended
		}
		if c.file != nil {
			fds := []unix.PollFd{{Fd: int32(c.file.Fd()), Events: unix.POLLIN}} //nolint:gosec // descriptors are small
			n, err := unix.Poll(fds, int(glance/time.Millisecond))
			if n == 0 || errors.Is(err, unix.EINTR) {
				continue
			}
		}
		buffer := make([]byte, 4096)
		n, err := c.in.Read(buffer)
		c.buffer = buffer[:n]
		switch {
		case errors.Is(err, io.EOF):
			c.ended = errEnded
		case err != nil:
			c.ended = fmt.Errorf("read answer: %w", err)
		}
	}
	b := c.buffer[0]
	c.buffer = c.buffer[1:]
	return b, nil
}

// Keys as a terminal in raw mode sends them.
const (
	keyInterrupt = 0x03 // Ctrl-C
	keyEnd       = 0x04 // Ctrl-D
	keyBackspace = 0x08
	keyEraseLine = 0x15 // Ctrl-U
	keyDelete    = 0x7f
	keyEscape    = 0x1b
)

// hidden asks, and reads a line that isn't shown. Where there is no terminal it is an ordinary line.
func (c *console) hidden(ctx context.Context, prompt string) (string, error) {
	if !c.terminal {
		return c.line(ctx, prompt)
	}
	fd := int(c.file.Fd())
	state, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("hide what is typed: %w; give the secret by a file or a variable", err)
	}
	_, _ = io.WriteString(c.out, prompt) // not before: who is quick to paste would see it
	text, err := c.readRaw(ctx)
	if restore := term.Restore(fd, state); err == nil && restore != nil {
		err = fmt.Errorf("show again what is typed: %w; run stty sane", restore)
	}
	_, _ = io.WriteString(c.out, "\n")
	return text, err
}

func (c *console) readRaw(ctx context.Context) (string, error) {
	var line []byte
	for {
		b, err := c.next(ctx)
		if err != nil {
			return "", err
		}
		switch b {
		case '\r', '\n':
			return clean(line), nil
		case keyInterrupt:
			return "", ErrInterrupted
		case keyEnd:
			if len(line) == 0 {
				return "", ErrInterrupted
			}
		case keyBackspace, keyDelete:
			line = line[:max(0, len(line)-1)]
		case keyEraseLine:
			line = nil
		case keyEscape: // an arrow, or the brackets that some terminals put around what is pasted: all of it is dropped by clean
			if err := c.skipSequence(ctx); err != nil {
				return "", err
			}
		default:
			if len(line) < longestAnswer {
				line = append(line, b)
			}
		}
	}
}

// skipSequence drops the rest of an escape sequence: ESC [ parameters letter (ECMA-48, 5.4).
func (c *console) skipSequence(ctx context.Context) error {
	b, err := c.next(ctx)
	for err == nil && (b == '[' || b >= '0' && b <= '?') {
		b, err = c.next(ctx)
	}
	return err
}
