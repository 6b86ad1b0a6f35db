package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"mayfly/internal/runner"
)

// cloning is one clone on its way (qemu-server: API2/Qemu.pm, clone_vm).
type cloning struct {
	source, newid                    int
	node                             *node
	target                           string // the node that the clone moves to; "" stays
	pool, storage, name, description string
	full                             string // the parameter: "", "0", "1"
	format, snapshot                 bool   // whether they were given
	running                          bool   // the source, when the call came
	auth                             *token
}

// cloneVM is POST clone: what can be checked without locks is checked at once, the rest is the worker's.
func (s *Server) cloneVM(q *call) (any, error) {
	p := q.params
	c := &cloning{
		source: q.vmid(), newid: p.num("newid", 0), node: q.node, target: p.str("target"), pool: p.str("pool"),
		storage: p.str("storage"), name: p.str("name"), description: p.str("description"), full: p.str("full"),
		format: p.has("format"), snapshot: p.has("snapname"), auth: q.token,
	}
	if c.target == c.node.name || c.target == "localhost" {
		c.target = ""
	}
	s.lock()
	v := s.vms[c.source]
	if v == nil || v.node != c.node.name {
		s.mu.Unlock()
		return nil, noConfig(c.source, c.node.name)
	}
	c.running = v.running
	_, err := s.checkClone(c, p.str("snapname"))
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.forkFor(c.newid, c.node.name, "qmclone", strconv.Itoa(c.source), c.auth, func(ctx context.Context, w *worker) error {
		return s.runClone(ctx, w, c)
	}), nil
}

// noConfig is what a look at a VM's process says when the node has no such VM.
func noConfig(vmid int, node string) *apiError {
	return failf("unable to find configuration file for VM %d on node '%s'", vmid, node)
}

// clonePlan is what a clone will be: its options without the disks that are to be made.
type clonePlan struct {
	source *vm
	full   bool
	conf   map[string]string
}

// checkClone finds the source and refuses what can't be cloned; it is run before and inside the locks.
func (s *Server) checkClone(c *cloning, snapname string) (*clonePlan, *apiError) {
	if c.pool != "" && s.pools[c.pool] == nil {
		return nil, forbidden("pool '%s' does not exist", c.pool)
	}
	if c.target != "" && s.nodes[c.target] == nil {
		return nil, failf("no such cluster node '%s'", c.target)
	}
	if c.storage != "" {
		st := s.storageByID(c.storage)
		if st == nil {
			return nil, failf("storage '%s' does not exist", c.storage)
		}
		if !st.holds("images") {
			return nil, badParam("storage", "storage '%s' does not support vm images", c.storage)
		}
		if c.target != "" && !st.shared {
			return nil, failf("can't clone to non-shared storage '%s'", c.storage)
		}
	}
	v, err := s.vmOn(c.node.name, c.source)
	if err != nil {
		return nil, err
	}
	if err := v.checkLock(); err != nil {
		return nil, err
	}
	if v.running != c.running {
		return nil, failf("unexpected state change")
	}
	if c.snapshot { // the stand-in makes no snapshots
		return nil, failf("snapshot '%s' does not exist", snapname)
	}
	plan := &clonePlan{source: v, full: c.full == "1" || c.full == "" && !v.template()}
	switch {
	case c.storage != "" && !plan.full:
		return nil, failf("parameter 'storage' not allowed for linked clones")
	case c.format && !plan.full:
		return nil, failf("parameter 'format' not allowed for linked clones")
	}
	if err := s.mayCopyDisks(c, v); err != nil {
		return nil, err
	}
	if err := s.mayUseBridges(c.auth, v.conf); err != nil {
		return nil, err
	}
	if other := s.vms[c.newid]; other != nil && other.node == c.node.name {
		return nil, failf("unable to create VM %d: config file already exists", c.newid)
	}
	if s.containers[c.newid] != nil {
		return nil, s.unusedID(c.newid)
	}
	for _, opt := range slices.Sorted(maps.Keys(v.disks())) {
		d := v.disks()[opt]
		if !plan.full && !d.cloudinit() && opt != "tpmstate0" && !v.template() {
			return nil, failf("Linked clone feature is not supported for '%s' (%s)", d.file, opt)
		}
	}
	plan.conf = s.cloneConf(v, c)
	return plan, nil
}

// mayCopyDisks demands space on the storages that the clone's disks go to, and that they are reached from the target.
func (s *Server) mayCopyDisks(c *cloning, v *vm) *apiError {
	shared := true
	for _, opt := range slices.Sorted(maps.Keys(v.conf)) {
		if !isDrive(opt) {
			continue
		}
		d := parseDrive(opt, v.conf[opt])
		store := d.storage()
		if store == "" {
			continue
		}
		st := s.storageByID(store)
		shared = shared && st != nil && st.shared
		if d.cdrom() && !d.cloudinit() {
			continue // whoever may clone may take the disc along
		}
		if c.storage != "" {
			store = c.storage
		}
		if err := s.require(c.auth, "/storage/"+store, "Datastore.AllocateSpace"); err != nil {
			return err
		}
	}
	if c.target != "" && !shared {
		return failf("can't clone VM to node '%s' (VM uses local storage)", c.target)
	}
	return nil
}

// cloneConf are the options that a clone takes over from its source: all but the disks, with addresses and identities
// of its own. Tags, protection and start at boot come along.
func (c *cluster) cloneConf(v *vm, o *cloning) map[string]string {
	conf := map[string]string{}
	for _, opt := range slices.Sorted(maps.Keys(v.conf)) {
		value := v.conf[opt]
		switch {
		case isNumbered(opt, "unused"), opt == "template", opt == "lock", opt == "parent":
		case isNumbered(opt, "net"):
			fields := propFields(opt, value)
			delete(fields, "macaddr")
			conf[opt] = c.printNet(fields)
		case isDrive(opt):
			if d := parseDrive(opt, value); d.cdrom() && !d.cloudinit() || d.storage() == "" {
				conf[opt] = value
			}
		case opt == "vmgenid":
			conf[opt] = c.randomUUID()
		default:
			conf[opt] = value
		}
	}
	smbios := propFields("smbios1", conf["smbios1"])
	smbios["uuid"] = c.randomUUID()
	conf["smbios1"] = printProps(smbios)
	if o.name != "" {
		conf["name"] = o.name
	} else {
		old := v.conf["name"]
		if old == "" {
			old = strconv.Itoa(v.id)
		}
		conf["name"] = "Copy-of-VM-" + old
	}
	if o.description != "" {
		conf["description"] = o.description
	}
	return conf
}

// runClone is the qmclone worker: shared lock on the source (exclusive while it runs), exclusive lock on the new id, a
// second each.
func (s *Server) runClone(ctx context.Context, w *worker, c *cloning) error {
	release, err := c.node.locks.acquire(ctx, c.source, !c.running, s.opts.Timing.CloneLockTimeout, w.say)
	if err != nil {
		return err
	}
	defer release()
	releaseNew, err := c.node.locks.acquire(ctx, c.newid, false, s.opts.Timing.CloneLockTimeout, w.say)
	if err != nil {
		return err
	}
	defer releaseNew()
	if err := w.point(ctx, pointLocked); err != nil {
		return err
	}
	s.lock()
	plan, aerr := s.checkClone(c, "")
	if aerr != nil {
		s.mu.Unlock()
		return aerr
	}
	s.logLocked(w, fmt.Sprintf("creating a clone of VM %d with ID %d", c.source, c.newid))
	if s.vms[c.newid] != nil {
		s.mu.Unlock() // another node has it: the cluster file system refuses the file
		return failf("close (rename) atomic file '/etc/pve/nodes/%s/qemu-server/%d.conf' failed: File exists", c.node.name, c.newid)
	}
	v := &vm{id: c.newid, node: c.node.name, source: c.source, image: plan.source.image, conf: map[string]string{
		"lock": "clone", "description": " qmclone temporary file",
	}}
	s.enrol(v, c.auth.id)
	s.mu.Unlock()
	if err := s.fillClone(ctx, w, c, plan, v); err != nil {
		if killed(s.ctx, died(ctx, err)) {
			return err // a killed worker cleans up nothing
		}
		s.undoClone(c, plan, v)
		if ctx.Err() != nil {
			err = errInterrupted
		}
		return failf("clone failed: %s", taskText(err))
	}
	return nil
}

// fillClone makes the disks, writes the whole configuration and, last of all, puts the VM into its resource pool.
func (s *Server) fillClone(ctx context.Context, w *worker, c *cloning, plan *clonePlan, v *vm) error {
	how, took := "linked", s.opts.Timing.LinkedClone
	if plan.full {
		how, took = "full", s.opts.Timing.FullClone
	}
	s.lock()
	source := plan.source
	var sizes []runner.Bytes
	for _, opt := range slices.Sorted(maps.Keys(source.disks())) {
		d := source.disks()[opt]
		s.logLocked(w, fmt.Sprintf("create %s clone of drive %s (%s)", how, opt, d.file))
		if plan.full {
			sizes = append(sizes, d.size())
			s.logLocked(w, fmt.Sprintf("transferred 0.0 B of %s (0.00%%)", d.size()))
		}
	}
	aerr := s.roomForClone(source, c, plan.full)
	var drives map[string]string
	if aerr == nil {
		drives, aerr = s.cloneVolumes(source, c.newid, plan.full, c.storage)
	}
	s.mu.Unlock()
	if aerr != nil {
		return aerr
	}
	maps.Copy(plan.conf, drives)
	if err := w.point(ctx, pointCopy); err != nil {
		return err
	}
	if err := pause(ctx, took); err != nil {
		return err
	}
	if err := s.opts.Engine.Clone(ctx, c.source, c.newid, plan.full, w.say); err != nil {
		return err
	}
	for _, size := range sizes {
		w.say(fmt.Sprintf("transferred %s of %s (100.00%%)", size, size))
	}
	s.lock()
	if s.readOnly(v.node) {
		err := s.unwritable(v.node, c.newid)
		s.mu.Unlock()
		return err
	}
	v.conf = maps.Clone(plan.conf)
	v.conf["lock"] = "clone"
	s.mu.Unlock()
	if err := w.point(ctx, pointCopied); err != nil {
		return err
	}
	s.lock()
	delete(v.conf, "lock")
	if c.target != "" {
		v.node = c.target
	}
	s.mu.Unlock()
	if err := w.point(ctx, pointPool); err != nil {
		return err
	}
	s.lock()
	if c.pool != "" && s.pools[c.pool] != nil {
		v.pool = c.pool // a pool that went meanwhile is no error (AccessControl.pm, add_vm_to_pool)
	}
	s.mu.Unlock()
	return w.point(ctx, pointDone)
}

// undoClone frees the disks that a failed clone had made, then its configuration file; one that has moved to another node stays
// there, without its disks (qemu-server: API2/Qemu.pm, clone_vm: the path it removes is the old one).
func (s *Server) undoClone(c *cloning, plan *clonePlan, v *vm) {
	if err := s.opts.Engine.Destroy(s.ctx, c.newid); err != nil {
		s.opts.Logger.Debug("disks of failed clone not removed", "vmid", c.newid, "reason", err)
	}
	s.lock()
	defer s.mu.Unlock()
	s.freeVolumes(&vm{id: v.id, node: v.node, conf: plan.conf})
	if v.node == c.node.name && !s.readOnly(v.node) { // else it stays, locked (recorded from Proxmox VE 9.2: quorum-*)
		s.forget(v, "")
	}
}

// diskSize is the size that a drive option names.
func (d drive) size() runner.Bytes {
	n, ok := parseSize(d.fields["size"])
	if !ok {
		return 0
	}
	return n
}

// parseSize reads "8G", "364K", "4194304".
func parseSize(text string) (runner.Bytes, bool) {
	unit := runner.Bytes(1)
	digits := text
	if text != "" {
		switch text[len(text)-1] {
		case 'K':
			unit = runner.KiB
		case 'M':
			unit = runner.MiB
		case 'G':
			unit = runner.GiB
		case 'T':
			unit = 1024 * runner.GiB
		}
		if unit > 1 {
			digits = text[:len(text)-1]
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n < 0 {
		return 0, false
	}
	return runner.Bytes(n * float64(unit)), true
}

// printSize writes a size as drive options have it: in the biggest unit that divides it.
func printSize(b runner.Bytes) string {
	for _, u := range []struct {
		unit runner.Bytes
		name string
	}{{1024 * runner.GiB, "T"}, {runner.GiB, "G"}, {runner.MiB, "M"}, {runner.KiB, "K"}} {
		if b >= u.unit && b%u.unit == 0 {
			return fmt.Sprintf("%d%s", b/u.unit, u.name)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
