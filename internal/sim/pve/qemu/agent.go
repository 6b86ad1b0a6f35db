package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"mayfly/internal/sim/pve"
)

const (
	guestShutdown = "guest-shutdown"
	// shutdownPatience bounds how long a guest-shutdown waits for an agent that isn't up.
	shutdownPatience = 10 * time.Second
	// sentinel before a command makes the agent forget half a command that an earlier client left; the agent sends it
	// before the reply to guest-sync-delimited (QEMU docs/interop/qemu-ga-ref, guest-sync-delimited).
	sentinel = 0xFF
)

// Agent implements [pve.Engine] with the agent in the guest. The first call to a booting guest blocks until the agent
// comes up or ctx ends.
func (e *Engine) Agent(ctx context.Context, vmid int, execute string, arguments json.RawMessage) (json.RawMessage, error) {
	m := e.machine(vmid)
	if m == nil {
		return nil, fmt.Errorf("guest agent of VM %d: machine doesn't run", vmid)
	}
	return m.agent(ctx, execute, arguments)
}

// agent passes one command on: a connection of its own, synchronised first, because what an earlier client asked may
// still be answered, to us.
func (m *machine) agent(ctx context.Context, execute string, arguments json.RawMessage) (json.RawMessage, error) {
	fail := func(err error) (json.RawMessage, error) {
		return nil, fmt.Errorf("guest agent of VM %d: %s: %w", m.VMID, execute, errors.Join(ctx.Err(), err))
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("guest agent of VM %d: %s: wait for another command: %w", m.VMID, execute, ctx.Err())
	case <-m.gone:
		return fail(errors.New("machine powered off"))
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", m.e.file(m.VMID, "qga"))
	if err != nil {
		return fail(err)
	}
	defer func() { _ = conn.Close() }()
	// The end of ctx ends whatever read or write is going on.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	in := bufio.NewReader(conn)
	if err := synchronise(conn, in); err != nil {
		return fail(fmt.Errorf("synchronise: %w", err))
	}
	request, err := json.Marshal(command{execute, arguments})
	if err != nil {
		return fail(err)
	}
	if _, err := conn.Write(append(request, '\n')); err != nil {
		return fail(err)
	}
	line, err := in.ReadBytes('\n')
	if err != nil {
		if execute == guestShutdown && errors.Is(err, io.EOF) {
			return json.RawMessage("{}"), nil // it doesn't answer, it does it
		}
		return fail(err)
	}
	reply, err := parse(line)
	if err != nil {
		return fail(err)
	}
	if reply.Error != nil {
		return nil, &pve.AgentError{Class: reply.Error.Class, Desc: reply.Error.Desc}
	}
	return reply.Return, nil
}

type command struct {
	Execute   string          `json:"execute"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

type reply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

func parse(line []byte) (reply, error) {
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("read reply: %w", err)
	}
	if r.Return == nil && r.Error == nil {
		return r, errors.New("read reply: neither a return nor an error")
	}
	return r, nil
}

// synchronise sends a number and drops everything until that number comes back.
func synchronise(conn io.Writer, in *bufio.Reader) error {
	id := rand.Int64N(1 << 31)
	request := fmt.Appendf([]byte{sentinel}, `{"execute":"guest-sync-delimited","arguments":{"id":%d}}`+"\n", id)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	for {
		if _, err := in.ReadBytes(sentinel); err != nil {
			return err
		}
		line, err := in.ReadBytes('\n')
		if err != nil {
			return err
		}
		var got struct {
			Return int64 `json:"return"`
		}
		// Another's number, or an error about what another left, is none of ours.
		if json.Unmarshal(line, &got) == nil && got.Return == id {
			return nil
		}
	}
}
