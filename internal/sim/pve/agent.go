package pve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// agentRoutes are the calls that go to the guest agent. Each holds a daemon worker while the agent is silent.
func (s *Server) agentRoutes() map[string]handler {
	const agent = "/nodes/{node}/qemu/{vmid}/agent"
	simple := func(command string) handler {
		return func(q *call) (any, error) { return s.agentCommand(q, command) }
	}
	routes := map[string]handler{
		"GET " + agent:                  index("name", agentIndex()...),
		"POST " + agent:                 func(q *call) (any, error) { return s.agentCommand(q, q.params.str("command")) },
		"POST " + agent + "/exec":       s.agentExec,
		"GET " + agent + "/exec-status": s.agentExecStatus,
		"GET " + agent + "/file-read":   s.agentFileRead,
		"POST " + agent + "/file-write": s.agentFileWrite,
	}
	for _, command := range agentGets() {
		routes["GET "+agent+"/"+command] = simple(command)
	}
	for _, command := range agentPosts() {
		routes["POST "+agent+"/"+command] = simple(command)
	}
	return routes
}

// agentGets and agentPosts are the commands without parameters; the agent's own name of each is "guest-" and this.
func agentGets() []string {
	return []string{
		"get-fsinfo", "get-host-name", "get-memory-block-info", "get-memory-blocks", "get-osinfo", "get-time", "get-timezone",
		"get-users", "get-vcpus", "info", "network-get-interfaces",
	}
}

func agentPosts() []string {
	return []string{"fsfreeze-freeze", "fsfreeze-status", "fsfreeze-thaw", "fstrim", "ping", "shutdown"}
}

// agentIndex are the names of all agent calls.
func agentIndex() []string {
	names := append(agentGets(), agentPosts()...)
	names = append(names, "suspend-disk", "suspend-hybrid", "suspend-ram", "exec", "exec-status", "file-read", "file-write", "set-user-password")
	slices.Sort(names)
	return names
}

func (s *Server) agentCommand(q *call, command string) (any, error) {
	if err := s.agentReady(q); err != nil {
		return nil, err
	}
	result, err := s.askAgent(q.ctx, q.vmid(), "guest-"+command, nil)
	var refused *AgentError
	if errors.As(err, &refused) { // these commands pass the refusal on as if it were a result (QMPClient.pm, cmd)
		return map[string]any{"result": map[string]any{"error": map[string]string{"class": refused.Class, "desc": refused.Desc}}}, nil
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"result": result}, nil
}

// agentReady refuses what can be told without asking the agent, then pings it, as Proxmox does before each command
// (API2/Qemu/Agent.pm).
func (s *Server) agentReady(q *call) *apiError {
	s.lock()
	v, err := s.vmOn(q.node.name, q.vmid())
	device := false
	if err == nil {
		device = v.agent
		switch {
		case v.conf["agent"] == "": // set is enough, enabled or not
			err = failf("No QEMU guest agent configured")
		case !v.running:
			err = failf("VM %d is not running", v.id)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if !device || s.pingAgent(q.ctx, q.vmid()) != nil {
		return failf("QEMU guest agent is not running")
	}
	return nil
}

// mustExist is the look at the configuration that comes before everything else.
func (s *Server) mustExist(q *call) *apiError {
	s.lock()
	defer s.mu.Unlock()
	_, err := s.vmOn(q.node.name, q.vmid())
	return err
}

// pingAgent asks for a sign of life, for as long as Proxmox waits for one.
func (s *Server) pingAgent(ctx context.Context, vmid int) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timing.AgentTimeout)
	defer cancel()
	_, err := s.opts.Engine.Agent(ctx, vmid, "guest-ping", nil)
	return err
}

// agentCall sends one command and takes the agent's refusal for an error.
func (s *Server) agentCall(ctx context.Context, vmid int, execute string, args any) (json.RawMessage, error) {
	result, err := s.askAgent(ctx, vmid, execute, args)
	var refused *AgentError
	if errors.As(err, &refused) {
		return nil, failf("Agent error: %s", refused.Desc)
	}
	return result, err
}

// askAgent sends one command; args is marshalled, nil sends none. The agent's own refusal is *AgentError.
func (s *Server) askAgent(ctx context.Context, vmid int, execute string, args any) (json.RawMessage, error) {
	var raw json.RawMessage
	if args != nil {
		var err error
		if raw, err = json.Marshal(args); err != nil {
			return nil, fmt.Errorf("agent command %s: %w", execute, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.agentPatience(execute))
	defer cancel()
	result, err := s.opts.Engine.Agent(ctx, vmid, execute, raw)
	var refused *AgentError
	switch {
	case errors.As(err, &refused):
		return nil, refused
	case err != nil && ctx.Err() != nil:
		return nil, failf("VM %d qga command '%s' failed - got timeout", vmid, execute)
	case err != nil:
		return nil, failf("VM %d qga command '%s' failed - %s", vmid, execute, firstLineOf(err.Error()))
	case len(result) == 0:
		return json.RawMessage("null"), nil
	}
	return result, nil
}

// agentPatience is how long a command may take: much longer for the slow ones (QMPClient.pm, cmd).
func (s *Server) agentPatience(execute string) time.Duration {
	switch execute {
	case "guest-fstrim", "guest-shutdown":
		return 10 * time.Minute
	case "guest-fsfreeze-freeze":
		return time.Hour
	case "guest-fsfreeze-thaw":
		return 3 * time.Minute
	}
	return s.opts.Timing.AgentCommand
}

// agentExec is POST agent/exec. It makes no task and leaves no trace on the host.
func (s *Server) agentExec(q *call) (any, error) {
	command := q.params.list("command")
	if len(command) == 0 {
		return nil, failf("command or input-data (or both) required")
	}
	if err := s.mustExist(q); err != nil {
		return nil, err
	}
	args := map[string]any{"path": command[0], "arg": command[1:], "capture-output": true}
	if q.params.has("input-data") {
		input, err := perlBase64(q.params.str("input-data"), "QemuServer/Agent.pm line 135")
		if err != nil {
			return nil, err
		}
		args["input-data"] = input
	}
	if err := s.agentReady(q); err != nil {
		return nil, err
	}
	result, err := s.agentCall(q.ctx, q.vmid(), "guest-exec", args)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// agentExecStatus is GET agent/exec-status: the agent's reply with its output decoded and its booleans as numbers.
func (s *Server) agentExecStatus(q *call) (any, error) {
	if err := s.agentReady(q); err != nil {
		return nil, err
	}
	raw, err := s.agentCall(q.ctx, q.vmid(), "guest-exec-status", map[string]any{"pid": q.params.num("pid", 0)})
	if err != nil {
		return nil, err
	}
	var reply map[string]any
	if err := json.Unmarshal(raw, &reply); err != nil {
		return nil, fmt.Errorf("agent command guest-exec-status: %w", err)
	}
	for k, v := range reply {
		switch v := v.(type) {
		case bool:
			reply[k] = 0
			if v {
				reply[k] = 1
			}
		case string:
			if k != "out-data" && k != "err-data" {
				continue
			}
			if data, err := base64.StdEncoding.DecodeString(v); err == nil {
				reply[k] = bytesAsText(data)
			}
		}
	}
	return reply, nil
}

// maxAgentRead is the most that file-read gives: 16 MiB, in pieces of 1 MiB.
const (
	maxAgentRead   = 16 << 20
	agentReadPiece = 1 << 20
)

// agentFileRead is GET agent/file-read.
func (s *Server) agentFileRead(q *call) (any, error) {
	if err := s.agentReady(q); err != nil {
		return nil, err
	}
	limit := min(q.params.num("count", maxAgentRead), maxAgentRead)
	handle, err := s.agentCall(q.ctx, q.vmid(), "guest-file-open", map[string]any{"path": q.params.str("file"), "mode": "r"})
	if err != nil {
		return nil, err
	}
	if offset := q.params.num("offset", 0); offset > 0 {
		seek := map[string]any{"handle": handle, "offset": offset, "whence": "set"}
		if _, err := s.agentCall(q.ctx, q.vmid(), "guest-file-seek", seek); err != nil {
			return nil, err
		}
	}
	var content []byte
	eof := false
	for len(content) < limit && !eof {
		raw, err := s.agentCall(q.ctx, q.vmid(), "guest-file-read", map[string]any{"handle": handle, "count": min(agentReadPiece, limit-len(content))})
		if err != nil {
			return nil, err
		}
		var piece struct {
			Count int    `json:"count"`
			Data  []byte `json:"buf-b64"`
			EOF   bool   `json:"eof"`
		}
		if err := json.Unmarshal(raw, &piece); err != nil {
			return nil, fmt.Errorf("agent command guest-file-read: %w", err)
		}
		content = append(content, piece.Data...)
		eof = piece.EOF || piece.Count == 0
	}
	var refused *AgentError // by which nothing is lost any more
	if _, err := s.askAgent(q.ctx, q.vmid(), "guest-file-close", map[string]any{"handle": handle}); err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	out := map[string]any{"content": bytesAsText(content), "bytes-read": len(content)}
	if q.params.has("decode") && !q.params.yes("decode") {
		out["content"] = base64.StdEncoding.EncodeToString(content)
	}
	if !eof {
		out["truncated"] = 1
	}
	return out, nil
}

// agentFileWrite is POST agent/file-write.
func (s *Server) agentFileWrite(q *call) (any, error) {
	if err := s.mustExist(q); err != nil {
		return nil, err
	}
	data := q.params.str("content")
	if !q.params.has("encode") || q.params.yes("encode") {
		var err error
		if data, err = perlBase64(data, "API2/Qemu/Agent.pm line 624"); err != nil {
			return nil, err
		}
	}
	if err := s.agentReady(q); err != nil {
		return nil, err
	}
	handle, err := s.agentCall(q.ctx, q.vmid(), "guest-file-open", map[string]any{"path": q.params.str("file"), "mode": "wb"})
	if err != nil {
		return nil, err
	}
	if _, err := s.agentCall(q.ctx, q.vmid(), "guest-file-write", map[string]any{"handle": handle, "buf-b64": data}); err != nil {
		return nil, err
	}
	_, err = s.agentCall(q.ctx, q.vmid(), "guest-file-close", map[string]any{"handle": handle})
	return nil, err
}

// perlBase64 is MIME::Base64's encode_base64: of characters, one byte each; it dies of wide ones.
func perlBase64(text, where string) (string, error) {
	data, ok := latin1(text)
	if !ok {
		return "", failf("Wide character in subroutine entry at /usr/share/perl5/PVE/%s.", where)
	}
	return base64.StdEncoding.EncodeToString([]byte(data)), nil
}

// bytesAsText is how decoded output enters the reply: each byte as a character of its own, so that UTF-8 arrives
// encoded twice.
func bytesAsText(data []byte) string {
	var b strings.Builder
	b.Grow(len(data))
	for _, c := range data {
		b.WriteRune(rune(c))
	}
	return b.String()
}
