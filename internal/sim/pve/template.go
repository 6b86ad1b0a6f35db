package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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
		st := storageByID(d.storage())
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
		defer s.mu.Unlock()
		return asError(s.resize(w, vmid, disk, size, digest))
	}), nil
}

func (s *Server) resize(w *worker, vmid int, disk, size, digest string) *apiError {
	v, err := s.vmOn(w.node.name, vmid)
	if err != nil {
		return err
	}
	if digest != "" && digest != v.digest() {
		return failf("checksum mismatch (file change by other user?)")
	}
	if err := v.checkLock(); err != nil {
		return err
	}
	value, ok := v.conf[disk]
	if !ok {
		return failf("disk '%s' does not exist", disk)
	}
	d := parseDrive(disk, value)
	switch {
	case d.storage() == "":
		return failf("disk '%s' has no associated volume", disk)
	case d.cdrom():
		return failf("you can't resize a cdrom")
	}
	if err := s.require(w.auth, "/storage/"+d.storage(), "Datastore.AllocateSpace"); err != nil {
		return err
	}
	rest, more := strings.CutPrefix(size, "+")
	bytes, ok := parseSize(rest)
	if !ok {
		return failf("internal error") // the schema's pattern admits nothing else
	}
	if more {
		bytes += d.size()
	}
	if bytes < d.size() {
		return failf("shrinking disks is not supported")
	}
	d.fields["size"] = printSize(bytes)
	delete(d.fields, "file")
	v.conf[disk] = d.file + "," + printProps(d.fields)
	if vol := s.volumes[v.node+"/"+d.file]; vol != nil {
		vol.size = bytes
	}
	s.logLocked(w, fmt.Sprintf("update VM %d: resize --disk %s --size %s", vmid, disk, size))
	return nil
}
