package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// monitorPatience bounds one reply of the monitor, which needs nothing of the guest.
const monitorPatience = 5 * time.Second

// monitor is QEMU's own control channel (QMP, docs/interop/qmp-spec). Its connection stays open: that it can be opened is
// how we know that QEMU is up.
type monitor struct {
	path string

	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Reader
	up   bool
}

// open connects and leaves the negotiation mode.
func (q *monitor) open(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", q.path)
	if err != nil {
		return fmt.Errorf("open QEMU's monitor: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.conn, q.in = conn, bufio.NewReader(conn)
	if err = q.conn.SetDeadline(time.Now().Add(monitorPatience)); err == nil {
		if _, err = q.in.ReadBytes('\n'); err == nil { // the greeting
			err = q.command("qmp_capabilities", nil)
		}
	}
	if err != nil {
		_ = conn.Close()
		q.conn = nil
		return fmt.Errorf("open QEMU's monitor: %w", err)
	}
	q.up = true
	return nil
}

// execute runs a command.
func (q *monitor) execute(name string, arguments map[string]any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn == nil {
		return errors.New("QEMU has ended")
	}
	if err := q.conn.SetDeadline(time.Now().Add(monitorPatience)); err != nil {
		return fmt.Errorf("ask QEMU to %s: %w", name, err)
	}
	return q.command(name, arguments)
}

// command sends a command and skips the events before its reply.
func (q *monitor) command(name string, arguments map[string]any) error {
	request, err := json.Marshal(struct {
		Execute   string         `json:"execute"`
		Arguments map[string]any `json:"arguments,omitempty"`
	}{name, arguments})
	if err != nil {
		return fmt.Errorf("ask QEMU to %s: %w", name, err)
	}
	if _, err := q.conn.Write(append(request, '\n')); err != nil {
		return fmt.Errorf("ask QEMU to %s: %w", name, err)
	}
	for {
		line, err := q.in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("ask QEMU to %s: %w", name, err)
		}
		var reply struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		switch err := json.Unmarshal(line, &reply); {
		case err != nil:
			return fmt.Errorf("ask QEMU to %s: read reply: %w", name, err)
		case reply.Error != nil:
			return fmt.Errorf("ask QEMU to %s: %s", name, reply.Error.Desc)
		case reply.Return != nil:
			return nil
		}
	}
}

func (q *monitor) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.conn != nil {
		_ = q.conn.Close()
		q.conn = nil
	}
}

// wasUp reports whether QEMU ever answered: whether the start was a success.
func (q *monitor) wasUp() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.up
}
