package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// VMIDs is a range of VMIDs, both ends included.
type VMIDs struct{ Start, End int }

// ours is a container whose marker names the installation.
type ours struct {
	vmid   int
	node   string
	marker runner.DispatcherMarker
	config proxmox.ContainerConfig
	status proxmox.ContainerStatus
}

// settled reports whether the container was a dispatcher once, not the remains of a bootstrap that was killed: it starts
// with its node only when its dispatcher was ready.
func (o *ours) settled() bool {
	return o.config.Values["onboot"] == "1" || slices.Contains(o.config.Tags, TagReady)
}

// serves reports whether the dispatcher inside says that it is ready.
func (o *ours) serves() bool { return o.status.Running && slices.Contains(o.config.Tags, TagReady) }

// replaceable refuses a container whose replacement would fail half-way.
func (o *ours) replaceable() error {
	var what string
	switch {
	case o.config.Lock != "":
		what = fmt.Sprintf("it is locked (%s); wait until that is over, or run on node %s: pct unlock %d", o.config.Lock, o.node, o.vmid)
	case o.config.Protection:
		what = fmt.Sprintf("it is protected; run on node %s: pct set %d --protection 0", o.node, o.vmid)
	case o.config.Values["parent"] != "" && o.config.Values[stateKey] != "": // pve-container API2/LXC.pm, move_volume
		what = fmt.Sprintf("it has snapshots, which hold its state's volume fast; run on node %s: pct delsnapshot %d %s", o.node, o.vmid, o.config.Values["parent"])
	default:
		return nil
	}
	return fmt.Errorf("replace container %d: %s", o.vmid, what)
}

// survey is what there is before a bootstrap.
type survey struct {
	taken   map[int]bool // VMIDs that the token sees
	current *ours        // the dispatcher's container; nil for none
	remains []*ours      // of bootstraps that were killed
}

// look finds the containers of the installation, on whichever node they are.
func look(ctx context.Context, api *proxmox.Client, installation string) (*survey, error) {
	list, err := api.Resources(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for a dispatcher's container: %w", err)
	}
	s := &survey{taken: map[int]bool{}}
	var all []*ours
	for _, r := range list {
		if r.VMID > 0 {
			s.taken[r.VMID] = true
		}
		if r.Type != "lxc" {
			continue
		}
		o, err := inspect(ctx, api, r.Node, r.VMID, installation)
		switch {
		case errors.Is(err, proxmox.NotFound) || errors.Is(err, proxmox.Permission): // gone meanwhile, or nothing that shows
			continue
		case errors.Is(err, proxmox.Unavailable) && !told(r): // on a node that is down, and never a dispatcher's
			continue
		case err != nil:
			return nil, fmt.Errorf("look for a dispatcher's container: %w", err)
		case o != nil:
			all = append(all, o)
		}
	}
	err = s.sort(all)
	return s, err
}

// told reports whether a dispatcher in a container has ever said a word.
func told(r proxmox.Resource) bool {
	return slices.Contains(r.Tags, TagReady) || slices.Contains(r.Tags, TagFailed)
}

// inspect reads a container; nil is one that isn't ours.
func inspect(ctx context.Context, api *proxmox.Client, node string, vmid int, installation string) (*ours, error) {
	cfg, err := api.ContainerConfig(ctx, node, vmid)
	if err != nil {
		return nil, err
	}
	m, err := runner.ParseDispatcherMarker(cfg.Description)
	if err != nil || m.Installation != installation || m.VMID != vmid { // copied or edited notes make it nobody's
		return nil, nil //nolint:nilerr // it isn't ours then
	}
	st, err := api.ContainerStatus(ctx, node, vmid)
	if err != nil {
		return nil, err
	}
	return &ours{vmid, node, m, cfg, st}, nil
}

// sort tells the dispatcher's container from remains. A bootstrap that was killed leaves a second one: not settled
// before the new dispatcher was ready, and settled but stopped after that.
func (s *survey) sort(all []*ours) error {
	candidates := all
	if len(all) > 1 {
		candidates = nil
		for _, o := range all {
			if o.settled() {
				candidates = append(candidates, o)
			}
		}
	}
	if len(candidates) > 1 {
		up := slices.DeleteFunc(slices.Clone(candidates), func(o *ours) bool { return !o.status.Running })
		if len(up) != 1 {
			return fmt.Errorf("look for a dispatcher's container: %s of installation %s are all of them dispatchers; stop and destroy those that are too many: pct destroy VMID",
				vmids(candidates), candidates[0].marker.Installation)
		}
		candidates = up
	}
	if len(candidates) == 1 {
		s.current = candidates[0]
	}
	for _, o := range all {
		if o != s.current {
			s.remains = append(s.remains, o)
		}
	}
	return nil
}

func vmids(list []*ours) string {
	var words []string
	for _, o := range list {
		words = append(words, fmt.Sprintf("container %d", o.vmid))
	}
	return strings.Join(words, ", ")
}

// young is the age up to which remains may be another bootstrap's work in progress.
const young = 20 * time.Minute

// checkAlone refuses to go on while another bootstrap seems to be at work.
func (s *survey) checkAlone(now time.Time) error {
	for _, o := range append(slices.Clone(s.remains), s.current) {
		if o == nil {
			continue
		}
		if age := now.Sub(o.marker.Created); !o.settled() && age < young && age > -young {
			return fmt.Errorf("make dispatcher's container: another bootstrap of installation %s seems to be at work on container %d (made %s ago); wait for it, or give --take-over if it was killed",
				o.marker.Installation, o.vmid, age.Round(time.Second))
		}
	}
	return nil
}

// chooseVMID gives the new container's VMID. That is the wanted one where it is free. Beside a container of ours that has
// it, it is the next free one above, so that upgrades go back and forth between two. Without a wish it is the lowest free
// one. Those of runners and templates are left alone.
func (s *survey) chooseVMID(ctx context.Context, api *proxmox.Client, want int, reserved []VMIDs) (int, error) {
	const lowest, tries = 100, 2000
	from := lowest
	if want > 0 {
		free, err := api.VMIDFree(ctx, want)
		switch {
		case err != nil:
			return 0, fmt.Errorf("choose VMID: %w", err)
		case free:
			return want, nil
		case s.current == nil || s.current.vmid != want:
			return 0, fmt.Errorf("choose VMID: %d is taken, and not by this installation's dispatcher; set CT_ID to a free one, or leave it out", want)
		}
		from = want + 1
	}
	for id := from; id < from+tries; id++ {
		if s.taken[id] || slices.ContainsFunc(reserved, func(r VMIDs) bool { return r.Start <= id && id <= r.End }) {
			continue
		}
		free, err := api.VMIDFree(ctx, id)
		if err != nil {
			return 0, fmt.Errorf("choose VMID: %w", err)
		}
		if free {
			return id, nil
		}
	}
	return 0, fmt.Errorf("choose VMID: none of %d to %d is free; set CT_ID to a free one", from, from+tries-1)
}
