package sim

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// adminTroubles are what the administrator does to VMs of ours without ending them.
var adminTroubles = []trouble{adminMigrates, adminMigrates, adminBacksUp, adminEdits, adminCopies, adminRestores}

// admin is a client of the administrator, who goes straight to Proxmox and does one thing after the other: a task that ends
// at once has ended when its status is asked for.
func (w *world) admin() *proxmox.Client {
	i := w.pve.Info()
	c, err := proxmox.New(proxmox.Options{
		Endpoints: addresses(w.nodes), TokenID: i.AdminTokenID, TokenSecret: runner.NewSecret(i.AdminTokenSecret),
		Transport: unhurried{w.conductor, w.pve.RoundTripper()},
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
	_ = waited(ctx, c, upid, err)
	if destroys {
		upid, err = c.Delete(ctx, v.node, v.vmid)
		_ = waited(ctx, c, upid, err)
	}
}

// waited waits for a task, if it was begun, and tells how either went.
func waited(ctx context.Context, c *proxmox.Client, upid proxmox.UPID, err error) error {
	if err != nil {
		return err
	}
	return c.WaitTask(ctx, upid)
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

// adminBacksUp has vzdump hold one of our VMs for some minutes: as long as that lasts it can't be stopped or destroyed.
func adminBacksUp(w *world, at time.Time, object string) []event {
	lock := func(v *machine, how string) { w.must(w.pve.SetLock(v.vmid, how)) }
	locked := func(v *machine, how string) bool { return w.pve.Locks()[v.vmid] == how }
	return w.adminHolds("admin backs up a VM", at, w.seconds("backup", object, 30, 600), object, hold{
		func(v *machine) bool { return locked(v, "") }, func(v *machine) { lock(v, "backup") },
		func(v *machine) bool { return locked(v, "backup") }, func(v *machine) { lock(v, "") },
	})
}

// hold is something that the administrator does to a VM that fits, and undoes later if it is still so.
type hold struct {
	fits  func(*machine) bool
	begin func(*machine)
	still func(*machine) bool
	end   func(*machine)
}

// adminHolds has the administrator hold one of our VMs for a while, to the end of which things must still go wrong.
func (w *world) adminHolds(name string, at time.Time, lasting time.Duration, object string, h hold) []event {
	var v *machine
	end := at.Add(lasting)
	if end.After(w.plan.until) {
		return nil
	}
	return []event{
		{at, name, func() {
			if v = w.pick(object, h.fits); v == nil || !w.plan.trouble(name, object) {
				v = nil
				return
			}
			w.trace.add("%s: %d", name, v.vmid)
			h.begin(v)
		}},
		{end, "end of " + name, func() {
			if v != nil && h.still(v) {
				h.end(v)
			}
		}},
	}
}

// adminEdits changes what no rule of ours is about: another tag, and start at boot.
func adminEdits(w *world, at time.Time, object string) []event {
	return []event{{at, "admin edits", func() {
		v := w.pick(object, func(*machine) bool { return true })
		if v == nil || !w.plan.trouble("admin edits a VM", object) {
			return
		}
		w.trace.add("admin edits %d", v.vmid)
		_ = w.admin().SetConfig(w.ctx, v.node, v.vmid, map[string]string{"tags": "looked-at", "onboot": "1"}, nil, "") // it may be locked
	}}}
}

// adminCopies clones one of our VMs, with its notes, its name and its pool, to a VMID of our range: it is the administrator's, who
// removes it an hour later.
func adminCopies(w *world, at time.Time, object string) []event {
	id, node := 0, ""
	return []event{
		{at, "admin copies", func() {
			v := w.pick(object, func(v *machine) bool { return v.running })
			if v == nil || !w.plan.trouble("admin copies a VM", object) {
				return
			}
			node = v.node
			id = w.adminClones(v, w.spec.VMIDs.End, v.name)
		}},
		{at.Add(time.Hour), "admin removes a copy", func() { w.adminRemovesCopy(node, id) }},
	}
}

// adminRestores puts a backup of one of our VMs in its place: the VM is away for a while, and comes back powered off with the
// notes that it had.
func adminRestores(w *world, at time.Time, object string) []event {
	return []event{{at, "admin restores", func() {
		v := w.pick(object, func(v *machine) bool { return v.running })
		if v == nil || !w.plan.trouble("admin restores a VM", object) {
			return
		}
		node := v.node
		backup := w.adminClones(v, w.spec.VMIDs.End+99, "backup")
		if backup == 0 {
			return
		}
		w.spoil(v)
		w.adminEnds(v, true)
		if w.pick("", func(other *machine) bool { return other == v }) == nil {
			w.mu.Lock()
			w.model.restores[v.vmid] = v
			w.mu.Unlock()
			w.trace.add("VM %d is restored", v.vmid)
			_ = w.adminClone(node, backup, proxmox.CloneOptions{NewID: v.vmid, Name: v.name, Pool: w.spec.ResourcePool, Full: true})
		}
		w.adminRemovesCopy(node, backup)
	}}}
}

// adminClones clones one of our VMs to the highest free VMID up to most, and returns that; 0 where it failed.
func (w *world) adminClones(v *machine, most int, name string) int {
	used := map[int]bool{}
	for _, other := range w.pve.VMs() {
		used[other.VMID] = used[other.VMID] || other.DestroyedAt == nil
	}
	id := most
	for used[id] {
		id--
	}
	w.mu.Lock()
	w.model.copies[id] = true
	w.mu.Unlock()
	w.trace.add("admin copies %d to %d", v.vmid, id)
	if err := w.adminClone(v.node, v.vmid, proxmox.CloneOptions{NewID: id, Name: name, Pool: w.spec.ResourcePool, Full: true}); err != nil {
		w.adminRemovesCopy(v.node, id)
		return 0
	}
	return id
}

func (w *world) adminClone(node string, from int, o proxmox.CloneOptions) error {
	ctx, cancel := context.WithTimeout(w.ctx, longestTask)
	defer cancel()
	c := w.admin()
	upid, err := c.Clone(ctx, node, from, o)
	return waited(ctx, c, upid, err)
}

// adminRemovesCopy removes what adminClones made, as far as it is there.
func (w *world) adminRemovesCopy(node string, id int) {
	w.mu.Lock()
	is := w.model.copies[id]
	w.mu.Unlock()
	if !is {
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	c := w.admin()
	upid, err := c.Delete(ctx, node, id)
	_ = waited(ctx, c, upid, err)
}

// adminMigrates moves one of our VMs to another node, which need not be one of ours.
func adminMigrates(w *world, at time.Time, object string) []event {
	return []event{{at, "admin migrates a VM", func() {
		v := w.pick(object, func(v *machine) bool { return v.running && !v.stopped && !w.dead[v.node] })
		if v == nil || w.pve.Locks()[v.vmid] != "" {
			return
		}
		others := slices.DeleteFunc(slices.Clone(w.nodes), func(name string) bool { return name == v.node || w.dead[name] })
		if len(others) == 0 || !w.plan.trouble("admin migrates a VM", object) {
			return
		}
		to := pick(w.seed, "to "+object, others...)
		w.trace.add("VM %d moves to %s", v.vmid, to)
		w.must(w.pve.Migrate(v.vmid, to))
		w.mu.Lock()
		v.node = to
		w.mu.Unlock()
	}}}
}

const (
	// repairEvery is how often the administrator looks for VMs that are locked and that nobody works on.
	repairEvery = 3 * time.Minute
	// longestTask is longer than any task runs.
	longestTask = 5 * time.Minute
)

// adminRepairs removes VMs of ours that no token can: those that a dead worker left locked, or outside the resource pool.
func (w *world) adminRepairs() {
	for _, v := range w.abandoned() {
		w.trace.add("admin unlocks and removes %d", v.vmid)
		w.must(w.pve.SetLock(v.vmid, ""))
		w.spoil(v)
		w.adminEnds(v, true)
	}
}

// abandoned are the VMs of ours that must be a dead task's.
func (w *world) abandoned() []*machine {
	locks, hidden := w.pve.Locks(), map[int]bool{}
	for _, v := range w.pve.VMs() {
		if v.DestroyedAt == nil && v.Pool == "" {
			hidden[v.VMID] = true
			locks[v.VMID] = cmp.Or(locks[v.VMID], "outside the resource pool") // which is as good as a lock: no token sees it
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*machine
	for id, v := range w.model.vms {
		switch lock := locks[id]; {
		case v.abandoned:
		case lock == "" || lock == "backup":
			v.lockedAt = time.Time{}
			continue
		case v.lockedAt.IsZero():
			v.lockedAt = time.Now()
			continue
		case time.Since(v.lockedAt) < longestTask:
			continue
		}
		v.abandoned, v.hidden = true, hidden[id]
		if !w.dead[v.node] {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *machine) int { return a.vmid - b.vmid })
	return out
}
