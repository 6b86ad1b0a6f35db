package pve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// newContainer is a creation, checked as far as it can be at once.
type newContainer struct {
	vmid     int
	node     *node
	auth     *token
	pool     string
	template string // the volid of its archive
	conf     map[string]string
}

// createContainer is POST /nodes/{node}/lxc (pve-container API2/LXC.pm, create_vm).
func (s *Server) createContainer(q *call) (any, error) {
	p := q.params
	if p.yes("restore") {
		return nil, failf("unable to restore CT %d - no backup archives here", q.vmid())
	}
	n := &newContainer{vmid: q.vmid(), node: q.node, auth: q.token, pool: p.str("pool"), template: p.str("ostemplate"), conf: map[string]string{}}
	for k := range p {
		if s.methods.container[k] != nil && k != "unprivileged" && p.has(k) {
			n.conf[k] = p.str(k)
		}
	}
	if keys := p.str("ssh-public-keys"); keys != "" && !validKeys(keys) {
		return nil, failf("SSH public key validation error")
	}
	unprivileged := !p.has("unprivileged") || p.yes("unprivileged")
	s.lock()
	ct, err := s.beginContainer(n, p, unprivileged)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	start := p.yes("start")
	return s.fork(q.node.name, "vzcreate", strconv.Itoa(ct.id), q.token, func(ctx context.Context, w *worker) error {
		if err := s.runCreateContainer(ctx, w, ct, n); err != nil {
			return err
		}
		if start { // in the same task, whose failure it is; the container stays
			return s.powerOnContainer(ctx, w, ct)
		}
		return nil
	}), nil
}

// beginContainer checks what can be checked at once and takes the VMID, with a locked configuration.
func (s *Server) beginContainer(n *newContainer, p params, unprivileged bool) (*container, *apiError) {
	if err := s.unusedID(n.vmid); err != nil {
		return nil, err
	}
	if n.pool != "" && s.pools[n.pool] == nil {
		return nil, forbidden("pool '%s' does not exist", n.pool)
	}
	if p.yes("ha-managed") {
		if err := s.require(n.auth, "/", "Sys.Console"); err != nil {
			return nil, err
		}
	}
	if !unprivileged {
		if err := s.require(n.auth, "/", "Sys.Modify"); err != nil {
			return nil, err
		}
	}
	if !s.may(n.auth, fmt.Sprintf("/vms/%d", n.vmid), "VM.Allocate") && (n.pool == "" || !s.may(n.auth, "/pool/"+n.pool, "VM.Allocate")) {
		return nil, &apiError{status: 403, msg: "Permission check failed"}
	}
	if err := s.mayModifyContainer(n.auth, n.vmid, n.pool, nil, n.conf, unprivileged); err != nil {
		return nil, err
	}
	if err := s.mayUseTemplate(n); err != nil {
		return nil, err
	}
	if n.conf["rootfs"] == "" {
		store := p.str("storage")
		if store == "" {
			store = storageFiles
		}
		n.conf["rootfs"] = store + ":4"
	}
	for _, opt := range slices.Sorted(maps.Keys(n.conf)) {
		if !isMountPoint(opt) {
			continue
		}
		if err := s.mayMakeVolume(n.auth, containerFields(opt, n.conf[opt])["volume"]); err != nil {
			return nil, err
		}
	}
	n.conf["unprivileged"] = strconv.Itoa(flagOf(unprivileged))
	ct := &container{
		id: n.vmid, node: n.node.name, conf: map[string]string{"lock": "create"}, pending: map[string]string{}, pendDel: map[string]bool{},
		keys: p.str("ssh-public-keys"),
	}
	s.containers[ct.id] = ct
	return ct, nil
}

// mayUseTemplate demands that the archive is a volume, on a storage that the token sees (pve-storage Storage.pm,
// check_volume_access). Whether it is there is the task's to find out.
func (s *Server) mayUseTemplate(n *newContainer) *apiError {
	store, _, ok := strings.Cut(n.template, ":")
	if !ok {
		return failf("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.")
	}
	if s.storageByID(store) == nil {
		return failf("storage '%s' does not exist", store)
	}
	return s.requireAny(n.auth, "/storage/"+store, "Datastore.AllocateSpace", "Datastore.Audit")
}

// mayMakeVolume demands what a new volume takes.
func (s *Server) mayMakeVolume(t *token, volume string) *apiError {
	m := newDiskForm.FindStringSubmatch(volume)
	if m == nil {
		return failf("unable to use volume '%s' - only new ones are made here", volume)
	}
	st := s.storageByID(m[1])
	switch {
	case st == nil:
		return failf("storage '%s' does not exist", m[1])
	case !st.holds("rootdir"):
		return badParam("storage", "storage '%s' does not support container directories", st.id)
	}
	return s.require(t, "/storage/"+st.id, "Datastore.AllocateSpace")
}

// isMountPoint reports whether an option is the root file system or another volume of a container's.
func isMountPoint(opt string) bool { return opt == "rootfs" || isNumbered(opt, "mp") }

// runCreateContainer is the vzcreate worker: volumes, the archive's content, configuration, and the resource pool last.
func (s *Server) runCreateContainer(ctx context.Context, w *worker, ct *container, n *newContainer) error {
	release, err := w.node.locks.acquire(ctx, ct.id, false, s.opts.Timing.LockTimeout, w.say)
	if err != nil {
		return err
	}
	defer release()
	if err := w.point(ctx, pointLocked); err != nil {
		return s.abandonContainer(ct, nil, err)
	}
	s.lock()
	conf := s.makeVolumes(w, n.node.name, n.vmid, n.conf)
	tmpl := s.volume(ct.node, n.template)
	s.mu.Unlock()
	err = pause(ctx, s.opts.Timing.FullClone)
	if err == nil && (tmpl == nil || tmpl.content != "vztmpl") {
		w.say(fmt.Sprintf("volume '%s' does not exist", n.template))
		err = failf("volume '%s' does not exist", n.template)
	}
	var archive *file
	if err == nil {
		archive, err = s.copyFile(tmpl.file)
	}
	if err != nil {
		return s.abandonContainer(ct, conf, err)
	}
	w.say(fmt.Sprintf("extracting archive '%s'", s.storageByID(storageOf(n.template)).path("vztmpl/"+templateFile(n.template))))
	w.say(fmt.Sprintf("Total bytes read: %d (%s, 400MiB/s)", tmpl.size, printSize(tmpl.size)))
	w.say("Detected container architecture: amd64")
	for opt, value := range map[string]string{"arch": "amd64", "ostype": "debian", "memory": "512", "swap": "512", "hostname": "CT" + strconv.Itoa(ct.id)} {
		if conf[opt] == "" {
			conf[opt] = value
		}
	}
	s.lock()
	for _, kind := range []string{"rsa", "ed25519", "ecdsa"} {
		s.logLocked(w, fmt.Sprintf("Creating SSH host key 'ssh_host_%s_key' - this may take some time ...", kind))
		s.logLocked(w, fmt.Sprintf("done: SHA256:%016x%016x root@%s", s.random(), s.random(), conf["hostname"]))
	}
	s.normaliseContainer(conf)
	ct.conf, ct.archive = conf, archive
	s.mu.Unlock()
	if err := w.point(ctx, pointPool); err != nil { // one that is killed here leaves a container outside the pool, unlocked (recorded)
		return err
	}
	s.lock()
	defer s.mu.Unlock()
	if n.pool != "" && s.pools[n.pool] != nil {
		ct.pool = n.pool
	}
	return nil
}

func storageOf(volid string) string {
	store, _, _ := strings.Cut(volid, ":")
	return store
}

// makeVolumes makes a container's volumes and returns its configuration, which names them. The caller holds Server.mu. w
// is nil where no task does it.
func (s *Server) makeVolumes(w *worker, node string, vmid int, conf map[string]string) map[string]string {
	conf = maps.Clone(conf)
	for _, opt := range slices.Sorted(maps.Keys(conf)) {
		if !isMountPoint(opt) {
			continue
		}
		fields := containerFields(opt, conf[opt])
		m := newDiskForm.FindStringSubmatch(fields["volume"])
		gib, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			gib = 0 // the form admits only numbers
		}
		size := runner.Bytes(gib * float64(runner.GiB))
		st := s.storageByID(m[1])
		volid := s.containerDisk(node, st, vmid)
		s.volumes[s.key(node, volid)] = &volume{vmid: vmid, content: "rootdir", format: "raw", size: size, used: size / 8, ctime: time.Now()}
		_, name, _ := strings.Cut(volid, ":")
		if w != nil {
			s.logLocked(w, fmt.Sprintf("Formatting '%s', fmt=raw size=%d preallocation=off", st.path("images/"+name), size))
		}
		delete(fields, "volume")
		fields["size"] = printSize(size)
		conf[opt] = volid + "," + printProps(fields)
	}
	return conf
}

// copyFile keeps a copy of a file, as what was extracted outlives the archive.
func (s *Server) copyFile(f *file) (*file, error) {
	if f == nil {
		return nil, nil
	}
	in, err := f.open()
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	defer func() { _ = in.Close() }()
	return s.newFile(in)
}

// abandonContainer removes a container whose creation was cut short; a killed worker cleans up nothing.
func (s *Server) abandonContainer(ct *container, conf map[string]string, err error) error {
	if killed(s.ctx, err) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	s.lock()
	s.freeContainer(ct, conf)
	s.mu.Unlock()
	return failf("unable to create CT %d - %s", ct.id, taskText(err))
}

// freeContainer removes a container's volumes and its configuration file. The caller holds Server.mu.
func (s *Server) freeContainer(ct *container, conf map[string]string) {
	for opt, value := range conf {
		if isMountPoint(opt) {
			delete(s.volumes, s.key(ct.node, containerFields(opt, value)["volume"]))
		}
		if isNumbered(opt, "unused") {
			delete(s.volumes, s.key(ct.node, value))
		}
	}
	delete(s.containers, ct.id)
	delete(s.acl, fmt.Sprintf("/vms/%d", ct.id))
}
