package proxmox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// maxStdin is the longest input-data that Proxmox accepts, in characters (schema of POST …/agent/exec).
const maxStdin = 64 << 10

// AgentPing asks the guest agent for a sign of life (VM.GuestAgent.Audit; VM.Monitor before Proxmox VE 9). Without an
// agent in the guest it takes 3 s and one of the node's three daemon workers: ask one guest of a node at a time.
func (c *Client) AgentPing(ctx context.Context, node string, vmid int) error {
	return c.do(ctx, call{
		op: fmt.Sprintf("ping guest agent of VM %d on %s", vmid, node), method: http.MethodPost,
		path: vmPath(node, vmid, "agent/ping"), limit: guest, harmless: true,
	}, nil)
}

// AgentExec runs a command in the guest and returns its pid at once (VM.GuestAgent.Unrestricted). stdin is at most
// 64 KiB of ASCII, and shows in no log of Proxmox's. A lost reply (MaybeHappened) leaves no task to look for: make
// the command harmless to repeat.
func (c *Client) AgentExec(ctx context.Context, node string, vmid int, command []string, stdin []byte) (int, error) {
	op := fmt.Sprintf("execute in VM %d on %s", vmid, node)
	if len(command) == 0 || command[0] == "" {
		return 0, &Error{Kind: BadParameter, Op: op, Message: "no command"}
	}
	op = fmt.Sprintf("execute %s in VM %d on %s", shorten(command[0]), vmid, node)
	if len(stdin) > maxStdin {
		return 0, &Error{
			Kind: BadParameter, Op: op,
			Message: fmt.Sprintf("standard input of %d bytes is longer than the %d that Proxmox accepts", len(stdin), maxStdin),
		}
	}
	for _, b := range stdin {
		if b >= 0x80 { // Proxmox base64-encodes characters, not bytes, and dies of wide ones (Agent.pm)
			return 0, &Error{Kind: BadParameter, Op: op, Message: "standard input isn't ASCII", Hint: "send it as base64"}
		}
	}
	body := struct {
		Command []string `json:"command"`
		Input   string   `json:"input-data,omitempty"`
	}{command, string(stdin)}
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, &Error{Kind: BadParameter, Op: op, Message: "command can't be sent", Cause: err}
	}
	var w struct {
		PID *integer `json:"pid"`
	}
	r := call{
		op: op, method: http.MethodPost, path: vmPath(node, vmid, "agent/exec"), json: raw, limit: guest, exec: true,
		secrets: secretForms(string(stdin)),
	}
	if err := c.do(ctx, r, &w); err != nil {
		return 0, err
	}
	if w.PID == nil {
		return 0, &Error{Kind: MaybeHappened, Op: op, Message: "the reply names no pid"}
	}
	return int(*w.PID), nil
}

// ExecStatus is what became of a command that [Client.AgentExec] began.
type ExecStatus struct {
	Exited bool
	// ExitCode is set when the command exited by itself, Signal when a signal ended it.
	ExitCode, Signal int
	// Out and Err are what it printed; empty until it has exited.
	Out, Err string
	// Truncated says that the agent dropped some of Out or Err (it keeps 16 MiB of each).
	Truncated bool
}

// AgentExecStatus asks what became of a command (VM.GuestAgent.Unrestricted). The agent tells of an exited command
// once and forgets it: later, for an unknown pid, and when that one reply got lost, the answer is Unavailable.
func (c *Client) AgentExecStatus(ctx context.Context, node string, vmid, pid int) (ExecStatus, error) {
	op := fmt.Sprintf("read status of pid %d in VM %d on %s", pid, vmid, node)
	var w struct {
		Exited    flag    `json:"exited"`
		ExitCode  integer `json:"exitcode"`
		Signal    integer `json:"signal"`
		Out       text    `json:"out-data"`
		Err       text    `json:"err-data"`
		OutTooBig flag    `json:"out-truncated"`
		ErrTooBig flag    `json:"err-truncated"`
	}
	err := c.do(ctx, call{
		op: op, method: http.MethodGet, path: vmPath(node, vmid, "agent/exec-status"),
		params: url.Values{"pid": {strconv.Itoa(pid)}}, limit: guest,
	}, &w)
	if err != nil {
		return ExecStatus{}, err
	}
	return ExecStatus{
		Exited: bool(w.Exited), ExitCode: int(w.ExitCode), Signal: int(w.Signal),
		Out: string(w.Out), Err: string(w.Err), Truncated: bool(w.OutTooBig || w.ErrTooBig),
	}, nil
}

// AgentFileRead reads a file of the guest (VM.GuestAgent.FileRead), at most 16 MiB. NotFound when it isn't there.
func (c *Client) AgentFileRead(ctx context.Context, node string, vmid int, path string) (string, error) {
	op := fmt.Sprintf("read file %s in VM %d on %s", shorten(path), vmid, node)
	var w struct {
		Content   *text `json:"content"`
		Truncated flag  `json:"truncated"`
	}
	err := c.do(ctx, call{
		op: op, method: http.MethodGet, path: vmPath(node, vmid, "agent/file-read"), params: url.Values{"file": {path}}, limit: guest,
	}, &w)
	switch {
	case err != nil:
		return "", err
	case w.Content == nil:
		return "", unreadable(op, errors.New("no content in it"))
	case bool(w.Truncated):
		return "", &Error{Kind: BadParameter, Op: op, Message: "the file is longer than the 16 MiB that Proxmox reads"}
	}
	return string(*w.Content), nil
}
