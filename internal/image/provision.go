package image

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const (
	// guestPoll is how often the VM in which an image is built is looked at.
	guestPoll = 5 * time.Second
	// agentPoll is how often an agent that doesn't answer is asked: each time holds one of the node's three daemon
	// workers for 3 s, and vendors' images have no agent until the scripts have installed it.
	agentPoll = 20 * time.Second
	// offPatience is how long a guest may take from its result to its power-off: it lingers 20 s.
	offPatience = 5 * time.Minute
	// The files of build.sh.
	resultFile, progressFile = "/run/mayfly-build/result.json", "/run/mayfly-build/progress"
	// quoteLines is how many of the script's last lines an error repeats.
	quoteLines = 8
)

// provision starts the VM and follows the scripts in it until it has powered off.
func (p *part) provision(ctx context.Context) error {
	p.tell.stage(StageInstall, "boots")
	if err := p.b.orders.Start(ctx, p.node, p.vmid); err != nil {
		return fmt.Errorf("start VM %d: %w", p.vmid, err)
	}
	w := watch{p: p, until: time.Now().Add(p.b.spec.Timeout)}
	return w.run(ctx)
}

// watch follows the scripts in a VM.
type watch struct {
	p     *part
	until time.Time
	// asked is when the agent was last asked in vain, heard whether it ever answered.
	asked time.Time
	heard bool
	// ended is whether the script has, with code.
	ended bool
	lines []string // its last ones, as far as they could be read
}

func (w *watch) run(ctx context.Context) error {
	p := w.p
	for {
		st, err := p.b.pve.VMStatus(ctx, p.node, p.vmid)
		switch {
		case err == nil && st.Status == "stopped":
			return nil // without an agent nobody has heard how it ended: the check tells
		case err == nil:
			if err := w.listen(ctx); err != nil {
				return err
			}
		}
		if time.Now().After(w.until) {
			return w.late()
		}
		if !pause(ctx, guestPoll) {
			return context.Cause(ctx)
		}
	}
}

// listen reads what the guest tells. An agent that doesn't answer is no error: it may not be there yet.
func (w *watch) listen(ctx context.Context) error {
	p := w.p
	if w.ended || !w.heard && time.Since(w.asked) < agentPoll {
		return nil
	}
	text, err := p.b.pve.AgentFileRead(ctx, p.node, p.vmid, progressFile)
	if err != nil {
		w.asked = time.Now()
		return nil //nolint:nilerr // it may not be there yet
	}
	w.heard = true
	w.lines = lastLines(text, quoteLines)
	if len(w.lines) > 0 {
		p.tell.says(w.lines[len(w.lines)-1])
	}
	text, err = p.b.pve.AgentFileRead(ctx, p.node, p.vmid, resultFile)
	if err != nil {
		return nil //nolint:nilerr // they have not ended yet
	}
	var result struct {
		ExitCode int `json:"exit_code"`
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return fmt.Errorf("provision VM %d: %s holds %q: %w", p.vmid, resultFile, text, err)
	}
	if result.ExitCode != 0 {
		return fmt.Errorf("provision VM %d: the scripts ended with %d%s", p.vmid, result.ExitCode, w.words())
	}
	w.ended = true
	w.until = time.Now().Add(offPatience)
	return nil
}

func (w *watch) late() error {
	if w.ended {
		return fmt.Errorf("provision VM %d: it has not powered off %s after the scripts ended", w.p.vmid, offPatience)
	}
	if !w.heard {
		return fmt.Errorf("provision VM %d: after %s it still runs and its guest agent has never answered: see its console; it needs DHCP and a way to its package mirrors",
			w.p.vmid, w.p.b.spec.Timeout)
	}
	return fmt.Errorf("provision VM %d: the scripts have not ended after %s%s; see image.timeout", w.p.vmid, w.p.b.spec.Timeout, w.words())
}

// words repeats the script's last lines in one.
func (w *watch) words() string {
	if len(w.lines) == 0 {
		return ""
	}
	return "; their last words: " + strings.Join(w.lines, " | ")
}

// lastLines gives the last lines that say something, without control characters.
func lastLines(text string, n int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, line))
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}
