package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// createVM is POST /nodes/{node}/qemu (API2/Qemu.pm, create_vm).
func (s *Server) createVM(q *call) (any, error) {
	p := q.params
	if p.has("archive") {
		return nil, failf("unable to restore VM %d - no backup archives here", q.vmid())
	}
	if err := rootOnly(q, "skiplock"); err != nil {
		return nil, err
	}
	ch := &change{vmid: q.vmid(), node: q.node, auth: q.token, set: map[string]string{}}
	for k := range p {
		if s.methods.config[k] != nil && p.has(k) {
			ch.set[k] = p.str(k)
		}
	}
	if v := p["cdrom"]; v != nil {
		if _, twice := ch.set["ide2"]; twice {
			return nil, badParam("cdrom", "conflicting options - can't use '-cdrom' and '-ide2' at the same time")
		}
		ch.set["ide2"] = scalar(v) + ",media=cdrom"
	}
	if keys := ch.set["sshkeys"]; keys != "" && !validKeys(unescape(keys)) {
		return nil, failf("SSH public key validation error")
	}
	pool := p.str("pool")
	s.lock()
	v, err := s.beginCreate(ch, pool, p)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	start := p.yes("start")
	return s.fork(q.node.name, "qmcreate", strconv.Itoa(v.id), q.token, func(ctx context.Context, w *worker) error {
		if err := s.runCreate(ctx, w, v, ch, pool); err != nil {
			return err
		}
		if start { // in a task of its own, whose failure is not this one's
			w.say("Execute autostart")
			s.forkStart(w.node.name, v.id, w.auth)
		}
		return nil
	}), nil
}

// beginCreate checks what can be checked at once and takes the VMID, with a locked configuration.
func (s *Server) beginCreate(ch *change, pool string, p params) (*vm, *apiError) {
	if pool != "" && s.pools[pool] == nil {
		return nil, forbidden("pool '%s' does not exist", pool)
	}
	if store := p.str("storage"); store != "" {
		if err := s.require(ch.auth, "/storage/"+store, "Datastore.AllocateSpace"); err != nil {
			return nil, err
		}
	}
	if p.yes("ha-managed") {
		if err := s.require(ch.auth, "/", "Sys.Console"); err != nil {
			return nil, err
		}
	}
	if p.yes("start") {
		if err := s.requireVM(ch.auth, ch.vmid, pool, "VM.PowerMgmt"); err != nil {
			return nil, err
		}
	}
	if !s.may(ch.auth, fmt.Sprintf("/vms/%d", ch.vmid), "VM.Allocate") && (pool == "" || !s.may(ch.auth, "/pool/"+pool, "VM.Allocate")) {
		return nil, &apiError{status: 403, msg: "Permission check failed"}
	}
	if err := s.mayUseStorage(ch.auth, ch.set, 0); err != nil {
		return nil, err
	}
	if err := s.mayModify(ch.auth, ch.vmid, pool, slices.Collect(maps.Keys(ch.set))); err != nil {
		return nil, err
	}
	for _, opt := range slices.Sorted(maps.Keys(ch.set)) {
		if err := s.mayByValue(ch.auth, ch.vmid, pool, opt, ch.set[opt], "set"); err != nil {
			return nil, err
		}
	}
	if err := s.mayUseBridges(ch.auth, ch.set); err != nil {
		return nil, err
	}
	if err := s.checkDrives(ch); err != nil {
		return nil, err
	}
	s.normalise(ch.set)
	if err := s.unusedID(ch.vmid); err != nil {
		return nil, failf("unable to create VM %d - %s", ch.vmid, err.msg)
	}
	v := &vm{id: ch.vmid, node: ch.node.name, conf: map[string]string{"lock": "create"}}
	s.enrol(v, ch.auth.id)
	return v, nil
}

// runCreate is the qmcreate worker: tags' privilege, disks, identities, configuration, and the resource pool last.
func (s *Server) runCreate(ctx context.Context, w *worker, v *vm, ch *change, pool string) error {
	release, err := w.node.locks.acquire(ctx, v.id, false, s.opts.Timing.CloneLockTimeout, w.say)
	if err != nil {
		return err
	}
	defer release()
	if err := pause(ctx, s.opts.Timing.Config); err != nil {
		return s.abandon(v, err)
	}
	s.lock()
	if tags, ok := ch.set["tags"]; ok {
		// On the VM itself, which is in no pool yet: what a pool grants doesn't count (recorded).
		if err := s.mayTag(ch.auth, v.id, "", tags); err != nil {
			s.forget(v, "")
			s.mu.Unlock()
			return failf("unable to create VM %d - %s", v.id, taskText(err))
		}
	}
	s.mu.Unlock()
	conf, err := s.createDisks(ctx, w, v, ch)
	if err != nil {
		return s.abandonDisks(ctx, v, err)
	}
	s.lock()
	defer s.mu.Unlock()
	if conf["smbios1"] == "" {
		conf["smbios1"] = "uuid=" + s.randomUUID()
	}
	if conf["vmgenid"] == "" {
		conf["vmgenid"] = s.randomUUID()
	}
	conf["meta"] = created()
	if conf["boot"] == "" {
		conf["boot"] = defaultBoot(conf)
	}
	v.conf = conf
	if pool != "" && s.pools[pool] != nil {
		v.pool = pool
	}
	return nil
}

// abandon removes a VM whose creation was cut short.
func (s *Server) abandon(v *vm, err error) error {
	if killed(s.ctx, err) {
		return err
	}
	s.lock()
	defer s.mu.Unlock()
	s.forget(v, "")
	return err
}

// abandonDisks removes a VM whose disks couldn't be made.
func (s *Server) abandonDisks(ctx context.Context, v *vm, err error) error {
	if killed(s.ctx, err) {
		return err // a killed worker cleans up nothing
	}
	if gone := s.opts.Engine.Destroy(s.ctx, v.id); gone != nil {
		s.opts.Logger.Debug("disks of failed creation not removed", "vmid", v.id, "reason", gone)
	}
	if ctx.Err() != nil {
		err = errInterrupted
	}
	return s.abandon(v, failf("unable to create VM %d - %s", v.id, taskText(err)))
}

// qemuVersion is that of Proxmox VE 9.2.
const qemuVersion = "10.0.13"

// defaultBoot is the boot order that a new VM gets: the first disk, the first CD-ROM, the first network device.
func defaultBoot(conf map[string]string) string {
	var disk, disc, net string
	for _, opt := range slices.Sorted(maps.Keys(conf)) {
		d := parseDrive(opt, conf[opt])
		switch {
		case isNumbered(opt, "net") && net == "":
			net = opt
		case !isDrive(opt), opt == "efidisk0", opt == "tpmstate0", d.cloudinit():
		case d.cdrom() && disc == "":
			disc = opt
		case !d.cdrom() && disk == "":
			disk = opt
		}
	}
	order := slices.DeleteFunc([]string{disk, disc, net}, func(s string) bool { return s == "" })
	return "order=" + strings.Join(order, ";")
}
