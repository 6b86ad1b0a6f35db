package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// admin is a client of the administrator, who goes straight to Proxmox.
func (w *world) admin() *proxmox.Client {
	i := w.pve.Info()
	c, err := proxmox.New(proxmox.Options{
		Endpoints: addresses(w.nodes), TokenID: i.AdminTokenID, TokenSecret: runner.NewSecret(i.AdminTokenSecret),
		Transport: w.pve.RoundTripper(),
	})
	if err != nil {
		panic(err)
	}
	return c
}

// pick chooses one of the fleet's VMs that fits.
func (w *world) pick(object string, fits func(*machine) bool) *machine {
	w.locate()
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []int
	for id, v := range w.model.vms {
		if fits(v) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return w.model.vms[ids[between(0, len(ids)-1, w.seed, "victim", object)]]
}

// spoil notes that somebody from outside harmed a VM, so that its job may fail.
func (w *world) spoil(v *machine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.model.badGuests[v.name] = true
}

// adminStops cuts the power of one of our VMs; adminDestroys removes it as well.
func adminStops(w *world, at time.Time, object string) []event { return w.meddle(at, object, false) }

func adminDestroys(w *world, at time.Time, object string) []event { return w.meddle(at, object, true) }

func (w *world) meddle(at time.Time, object string, destroys bool) []event {
	name := "admin stops a VM"
	if destroys {
		name = "admin destroys a VM"
	}
	return []event{{at, name, func() {
		v := w.pick(object, func(v *machine) bool { return v.running })
		if v == nil || !w.plan.trouble(name, object) {
			return
		}
		w.spoil(v)
		w.trace.add("%s: %d", name, v.vmid)
		w.adminEnds(v, destroys)
	}}}
}

// adminEnds stops a VM, and destroys it where it is told to. Whatever is in its way, the administrator lets it be.
func (w *world) adminEnds(v *machine, destroys bool) {
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	w.locate()
	c := w.admin()
	upid, err := c.Stop(ctx, v.node, v.vmid)
	if err == nil {
		_ = c.WaitTask(ctx, upid)
	}
	if !destroys {
		return
	}
	if upid, err = c.Delete(ctx, v.node, v.vmid); err == nil {
		_ = c.WaitTask(ctx, upid)
	}
}

// adminTakesOver writes other notes on one of our VMs: from then on it isn't ours. An hour later the administrator is done
// with it.
func adminTakesOver(w *world, at time.Time, object string) []event {
	var v *machine
	return []event{
		{at, "admin takes a VM", func() {
			if v = w.pick(object, func(v *machine) bool { return v.running && v.taken.IsZero() }); v == nil || !w.plan.trouble("admin takes a VM over", object) {
				v = nil
				return
			}
			w.spoil(v)
			w.trace.add("admin takes over %d", v.vmid)
			if err := w.admin().SetConfig(w.ctx, v.node, v.vmid, map[string]string{"description": "mine now"}, nil, ""); err != nil {
				v = nil
				return
			}
			w.mu.Lock()
			v.taken = time.Now()
			w.mu.Unlock()
		}},
		{at.Add(time.Hour), "admin gives a VM up", func() { w.adminGivesUp(v) }},
	}
}

// adminGivesUp removes a VM that was taken over, if it is still there.
func (w *world) adminGivesUp(v *machine) {
	if v == nil || w.pick("", func(other *machine) bool { return other == v }) == nil {
		return
	}
	w.adminEnds(v, true)
}

func (w *world) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("seed %d: %v", w.seed, err))
	}
}

// pick chooses one of several by the seed.
func pick[T any](seed uint64, what string, from ...T) T {
	return from[between(0, len(from)-1, seed, what)]
}
