package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"mayfly/internal/proxmox"
)

const (
	// glance is how often the dispatcher is asked for its word.
	glance = time.Second
	// doubt is how long the dispatcher may be unready before it says so: a network that comes up, or a reply that is lost,
	// is nothing that anybody has to act on.
	doubt = 30 * time.Second
	// repeat is how often a new reason may take the place of another.
	repeat = 5 * time.Minute
	// How long to wait before a word that Proxmox didn't take is told again.
	retry, retryAtMost = 5 * time.Second, 5 * time.Minute

	// reasonPrefix begins a reason in the description, so that nobody else's line is taken for ours.
	reasonPrefix = "mayfly: "
	// longestReason, in bytes, is a small part of what a description may hold (8 KiB).
	longestReason = 500
)

// Word is what the dispatcher says of itself.
type Word struct {
	// Ready is whether it can serve new jobs.
	Ready bool
	// Reason is why it can't.
	Reason string
}

// Teller tells the word of a dispatcher to whoever reads its container's tags and description. The token needs VM.Audit
// and VM.Config.Options on the container, in its resource pool at best.
type Teller struct {
	API *proxmox.Client
	// VMID is the container's. Its node is looked up each time, as it may have been migrated.
	VMID int
	Log  *slog.Logger
}

// Run tells until ctx ends: ready at once, not ready when that has lasted a while. What the container says already isn't
// told again.
func (t Teller) Run(ctx context.Context, word func() Word) {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	var told Word           // what the container says
	var at, bad time.Time   // since when; since when it isn't ready
	var pause time.Duration // between attempts, after one failed
	var next time.Time
	for {
		now, w := time.Now(), word()
		switch {
		case w.Ready:
			bad = time.Time{}
		case bad.IsZero():
			bad = now
		}
		news := at.IsZero() || w.Ready != told.Ready || w != told && now.Sub(at) >= repeat
		if news && !now.Before(next) && (w.Ready || now.Sub(bad) >= doubt) {
			if err := t.Tell(ctx, w); err == nil {
				told, at, pause = w, now, 0
			} else if ctx.Err() == nil {
				pause = min(max(retry, 2*pause), retryAtMost)
				next = now.Add(pause)
				t.Log.Warn("container not marked", "vmid", t.VMID, "ready", w.Ready, "reason", err, "again_in", pause)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Insist tells the word, again and again if need be, until ctx ends.
func (t Teller) Insist(ctx context.Context, w Word) error {
	for {
		err := t.Tell(ctx, w)
		if err == nil || errors.Is(err, proxmox.Unauthorized) || errors.Is(err, proxmox.Permission) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retry):
		}
	}
}

// Tell tells the word once. Other tags, and the rest of the description, stay.
func (t Teller) Tell(ctx context.Context, w Word) error {
	node, err := t.node(ctx)
	if err != nil {
		return err
	}
	cfg, err := t.API.ContainerConfig(ctx, node, t.VMID)
	if err != nil {
		return err
	}
	set, del := change(cfg, w)
	if len(set)+len(del) == 0 {
		return nil
	}
	return t.API.SetContainerConfig(ctx, node, t.VMID, set, del, cfg.Digest)
}

// node finds the container.
func (t Teller) node(ctx context.Context) (string, error) {
	all, err := t.API.Resources(ctx)
	if err != nil {
		return "", err
	}
	for _, r := range all {
		if r.Type == "lxc" && r.VMID == t.VMID {
			return r.Node, nil
		}
	}
	return "", fmt.Errorf("find container %d: the token sees none; grant it VM.Audit and VM.Config.Options on /vms/%d, or put the container into its resource pool", t.VMID, t.VMID)
}

// change is what turns a container's config into one that says the word.
func change(cfg proxmox.ContainerConfig, w Word) (set map[string]string, del []string) {
	tag, other := TagReady, TagFailed
	if !w.Ready {
		tag, other = other, tag
	}
	set = map[string]string{}
	if !slices.Contains(cfg.Tags, tag) || slices.Contains(cfg.Tags, other) {
		tags := slices.DeleteFunc(slices.Clone(cfg.Tags), func(t string) bool { return t == tag || t == other })
		set["tags"] = strings.Join(append(tags, tag), ";")
	}
	reason, rest := splitReason(cfg.Description)
	if w.Ready {
		if reason == "" {
			return set, nil
		}
		if rest == "" {
			return set, []string{"description"}
		}
		set["description"] = rest
		return set, nil
	}
	if said := oneLine(w.Reason); reason != said {
		set["description"] = strings.TrimRight(reasonPrefix+said+"\n"+rest, "\n")
	}
	return set, nil
}

// splitReason takes the dispatcher's reason off a container's description; "" when it gives none.
func splitReason(description string) (reason, rest string) {
	first, after, _ := strings.Cut(description, "\n")
	if reason, ours := strings.CutPrefix(first, reasonPrefix); ours {
		return strings.TrimSpace(reason), strings.TrimRight(after, "\n")
	}
	return "", strings.TrimRight(description, "\n")
}

// oneLine is a reason as it can stand in a description's first line.
func oneLine(reason string) string {
	reason = strings.Join(strings.Fields(reason), " ")
	if reason == "" {
		return "no reason known; see journalctl -u mayfly in the container"
	}
	if len(reason) > longestReason {
		reason = strings.ToValidUTF8(reason[:longestReason], "") + "…"
	}
	return reason
}
