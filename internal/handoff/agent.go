package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

const (
	defaultExecTimeout = 20 * time.Second
	defaultExecPoll    = 250 * time.Millisecond
	// execMoment is how long a command of ours in a guest takes at least.
	execMoment = 100 * time.Millisecond
	// maxQuote bounds how much of a guest's output an error repeats.
	maxQuote = 200
)

// Proxmox is what the hand-off needs of the Proxmox client: the guest agent's calls
// (/nodes/{node}/qemu/{vmid}/agent/…).
type Proxmox interface {
	AgentExec(ctx context.Context, node string, vmid int, command []string, stdin []byte) (int, error)
	AgentExecStatus(ctx context.Context, node string, vmid, pid int) (proxmox.ExecStatus, error)
	AgentFileRead(ctx context.Context, node string, vmid int, path string) (string, error)
}

// Agent hands identities over through the QEMU guest agent.
type Agent struct {
	pve  Proxmox
	opts AgentOptions
}

// NewAgent returns a hand-off that speaks to guests through pve.
func NewAgent(pve Proxmox, opts AgentOptions) *Agent {
	if opts.ExecTimeout <= 0 {
		opts.ExecTimeout = defaultExecTimeout
	}
	if opts.ExecPoll <= 0 {
		opts.ExecPoll = defaultExecPoll
	}
	return &Agent{pve: pve, opts: opts}
}

// Probe asks the guest how far it is. Proxmox itself pings the agent before each command (qemu-server: Agent.pm,
// agent_available), so no ping of ours goes before it. It returns [ErrNotReady] while the guest agent doesn't answer (that costs
// Proxmox a daemon worker for 3 s, so ask one guest of a node at a time) and [ErrImage] when the image can't do it.
func (a *Agent) Probe(ctx context.Context, vm VM) (Guest, error) {
	out, err := a.exec(ctx, vm, []string{Script, "--probe"}, nil)
	if err != nil {
		return Guest{}, fmt.Errorf("probe guest of VM %d: %w", vm.VMID, notReady(err))
	}
	if out.ExitCode != 0 {
		return Guest{}, fmt.Errorf("probe guest of VM %d: %w: %s --probe ended with %d: %s; rebuild the template",
			vm.VMID, ErrImage, Script, out.ExitCode, quote(out.Err))
	}
	var g Guest
	if err := json.Unmarshal([]byte(out.Out), &g); err != nil {
		return Guest{}, fmt.Errorf("probe guest of VM %d: %w: %s --probe printed %s, want one line of JSON; rebuild the template",
			vm.VMID, ErrImage, Script, quote(out.Out))
	}
	if g.Contract < OldestContract || g.Contract > Contract {
		return Guest{}, fmt.Errorf("probe guest of VM %d: %w: its run-once contract is %d, this Mayfly speaks %d to %d; rebuild the template",
			vm.VMID, ErrImage, g.Contract, OldestContract, Contract)
	}
	switch g.State {
	case Ready, Delivered, Done:
		return g, nil
	}
	return Guest{}, fmt.Errorf("probe guest of VM %d: %w: unknown state %q", vm.VMID, ErrImage, g.State)
}

// Deliver gives the guest its identity and returns when run-once.sh has taken it over. A reply that was lost is
// answered by delivering again, which the contract makes harmless.
func (a *Agent) Deliver(ctx context.Context, vm VM, o Order, id runner.Identity) error {
	command := slices.Concat([]string{Script}, o.options(), []string{"--jit", id.Name})
	stdin := []byte(id.JITConfig.Reveal() + "\n")

	out, err := a.exec(ctx, vm, command, stdin)
	if err != nil && ctx.Err() == nil {
		out, err = a.exec(ctx, vm, command, stdin)
	}
	if err != nil {
		return fmt.Errorf("deliver identity %s to VM %d: %w", id.Name, vm.VMID, err)
	}
	switch out.ExitCode {
	case 0:
		return nil
	case 3:
		return fmt.Errorf("deliver identity %s to VM %d: %w", id.Name, vm.VMID, ErrTaken)
	}
	return fmt.Errorf("deliver identity %s to VM %d: %w: %s ended with %d: %s",
		id.Name, vm.VMID, ErrImage, Script, out.ExitCode, quote(without(out.Err, id.JITConfig)))
}

// tellingPart is how much of an identity in a row a guest's output may hold and still be shown; names and words that are
// in an identity by chance are shorter once they are in base64.
const tellingPart = 12

// without is what a guest printed when it was given a secret, without the secret: a script that prints what it reads would
// put it into our log. Where a part of it is left, nothing is shown.
func without(text string, secret runner.Secret) string {
	value := secret.Reveal()
	if value == "" {
		return text
	}
	text = strings.ReplaceAll(text, value, runner.Redacted)
	for i := 0; i+tellingPart <= len(value); i++ {
		if strings.Contains(text, value[i:i+tellingPart]) {
			return runner.Redacted + " (it printed a part of its identity, so nothing of it is shown)"
		}
	}
	return text
}

// Result reads what the guest says of its job. The second value is false while it says nothing yet.
func (a *Agent) Result(ctx context.Context, vm VM) (runner.Result, bool, error) {
	text, err := a.pve.AgentFileRead(ctx, vm.Node, vm.VMID, resultFile)
	switch {
	case errors.Is(err, proxmox.NotFound):
		return runner.Result{}, false, nil
	case err != nil:
		return runner.Result{}, false, fmt.Errorf("read result of VM %d: %w", vm.VMID, err)
	}
	var r runner.Result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return runner.Result{}, false, fmt.Errorf("read result of VM %d: %w", vm.VMID, err)
	}
	return r, true, nil
}

// exec runs a command in the guest and waits for its exit.
func (a *Agent) exec(ctx context.Context, vm VM, command []string, stdin []byte) (proxmox.ExecStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, a.opts.ExecTimeout)
	defer cancel()
	pid, err := a.pve.AgentExec(ctx, vm.Node, vm.VMID, command, stdin)
	if err != nil {
		return proxmox.ExecStatus{}, fmt.Errorf("execute %s: %w", command[0], err)
	}
	for first := true; ; first = false {
		// A moment first: asked at once, no command has ended yet, and each question is a call.
		wait := a.opts.ExecPoll
		if first {
			wait = min(wait, execMoment)
		}
		select {
		case <-ctx.Done():
			return proxmox.ExecStatus{}, fmt.Errorf("wait for %s: %w", command[0], ctx.Err())
		case <-time.After(wait):
		}
		// A finished command's status can be read once only (facts: exec-status), so a read that got lost ends
		// here as an error and the caller asks the guest anew.
		st, err := a.pve.AgentExecStatus(ctx, vm.Node, vm.VMID, pid)
		if err != nil {
			return proxmox.ExecStatus{}, fmt.Errorf("wait for %s: %w", command[0], err)
		}
		if st.Exited {
			return st, nil
		}
	}
}

// notReady marks the errors that a booting guest gives; a missing privilege or VM is none of them.
func notReady(err error) error {
	if errors.Is(err, proxmox.Permission) || errors.Is(err, proxmox.Unauthorized) || errors.Is(err, proxmox.NotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotReady, err)
}

// quote shortens what a guest printed, so that an error stays one line.
func quote(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxQuote {
		s = s[:maxQuote] + "…"
	}
	return fmt.Sprintf("%q", s)
}
