package pve

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/runner"
)

// makeTemplate is POST template.
func (s *Server) makeTemplate(q *call) (any, error) {
	vmid, disk := q.vmid(), q.params.str("disk")
	check := func() (*vm, *apiError) {
		v, err := s.vmOn(q.node.name, vmid)
		if err != nil {
			return nil, err
		}
		if err := v.checkLock(); err != nil {
			return nil, err
		}
		switch {
		case v.template() && disk == "":
			return nil, failf("you can't convert a template to a template")
		case v.running:
			return nil, failf("you can't convert a VM to template if VM is running")
		}
		return v, nil
	}
	s.lock()
	_, err := check()
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.fork(q.node.name, "qmtemplate", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		release, err := w.lockVM(ctx, vmid)
		if err != nil {
			return err
		}
		defer release()
		if err := pause(ctx, s.opts.Timing.Config); err != nil {
			return err
		}
		s.lock()
		defer s.mu.Unlock()
		v, aerr := check()
		if aerr != nil {
			return aerr
		}
		v.conf["template"] = "1"
		s.makeBase(v)
		return nil
	}), nil
}

// feature is GET feature: whether a VM's disks can be cloned, copied, snapshotted, and which nodes reach them.
func (s *Server) feature(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	v, err := s.vmOn(q.node.name, q.vmid())
	if err != nil {
		return nil, err
	}
	if q.params.has("snapname") {
		return nil, failf("snapshot '%s' does not exist", q.params.str("snapname"))
	}
	has, shared := 1, true
	for opt, d := range v.disks() {
		st := s.storageByID(d.storage())
		shared = shared && st != nil && st.shared
		if q.params.str("feature") == "clone" && !v.template() && !d.cloudinit() && opt != "tpmstate0" {
			has = 0 // only base volumes have linked clones
		}
	}
	nodes := []string{v.node}
	if shared {
		nodes = slices.Sorted(maps.Keys(s.nodes))
	}
	return map[string]any{"hasFeature": has, "nodes": nodes}, nil
}

// resizeDisk is PUT resize: a task since Proxmox VE 8, which finds out everything by itself.
func (s *Server) resizeDisk(q *call) (any, error) {
	if err := rootOnly(q, "skiplock"); err != nil {
		return nil, err
	}
	p, vmid := q.params, q.vmid()
	disk, size, digest := p.str("disk"), p.str("size"), p.str("digest")
	return s.fork(q.node.name, "resize", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		release, err := w.lockVM(ctx, vmid)
		if err != nil {
			return err
		}
		defer release()
		if err := pause(ctx, s.opts.Timing.Config); err != nil {
			return err
		}
		s.lock()
		bytes, aerr := s.resizable(w, vmid, disk, size, digest)
		s.mu.Unlock()
		if aerr != nil {
			return aerr
		}
		if maker, ok := s.opts.Engine.(DiskMaker); ok {
			if err := maker.Resize(ctx, vmid, disk, bytes); err != nil {
				return err
			}
		}
		s.lock()
		defer s.mu.Unlock()
		return asError(s.resize(w, vmid, disk, bytes))
	}), nil
}

// resizable is what a resize finds out before it begins: the size that the disk will have.
func (s *Server) resizable(w *worker, vmid int, disk, size, digest string) (runner.Bytes, *apiError) {
	v, err := s.vmOn(w.node.name, vmid)
	if err != nil {
		return 0, err
	}
	if digest != "" && digest != v.digest() {
		return 0, failf("checksum mismatch (file change by other user?)")
	}
	if err := v.checkLock(); err != nil {
		return 0, err
	}
	value, ok := v.conf[disk]
	if !ok {
		return 0, failf("disk '%s' does not exist", disk)
	}
	d := parseDrive(disk, value)
	switch {
	case d.storage() == "":
		return 0, failf("disk '%s' has no associated volume", disk)
	case d.cdrom():
		return 0, failf("you can't resize a cdrom")
	}
	if err := s.require(w.auth, "/storage/"+d.storage(), "Datastore.AllocateSpace"); err != nil {
		return 0, err
	}
	rest, more := strings.CutPrefix(size, "+")
	bytes, ok := parseSize(rest)
	if !ok {
		return 0, failf("internal error") // the schema's pattern admits nothing else
	}
	if more {
		bytes += d.size()
	}
	if bytes < d.size() {
		return 0, failf("shrinking disks is not supported")
	}
	return bytes, nil
}

// resize writes down the new size; the caller still holds the lock file under which it was found out.
func (s *Server) resize(w *worker, vmid int, disk string, size runner.Bytes) *apiError {
	v, err := s.vmOn(w.node.name, vmid)
	if err != nil {
		return err
	}
	d := parseDrive(disk, v.conf[disk])
	d.fields["size"] = printSize(size)
	delete(d.fields, "file")
	v.conf[disk] = d.file + "," + printProps(d.fields)
	if vol := s.volumes[s.key(v.node, d.file)]; vol != nil {
		vol.size = size
	}
	return nil
}
