package pve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// containerConfig is GET config: the options with pending changes applied, as after the next start.
func (s *Server) containerConfig(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	ct, err := s.containerOn(q.node.name, q.vmid())
	if err != nil {
		return nil, err
	}
	out := map[string]any{"digest": ct.digest()}
	for k, v := range ct.conf {
		out[k] = typedBy(s.methods.container, k, v)
	}
	if q.params.yes("current") {
		return out, nil
	}
	for k := range ct.pendDel {
		delete(out, k)
	}
	for k, v := range ct.pending {
		out[k] = typedBy(s.methods.container, k, v)
	}
	return out, nil
}

// setContainerConfig is PUT config (pve-container API2/LXC/Config.pm, update_vm).
func (s *Server) setContainerConfig(q *call) (any, error) {
	p, table := q.params, s.methods.container
	set := map[string]string{}
	for k := range p {
		if table[k] != nil && p.has(k) {
			set[k] = p.str(k)
		}
	}
	gone := splitList(p.str("delete"))
	if len(set)+len(gone) == 0 && p.str("revert") == "" {
		return nil, failf("no options specified")
	}
	if _, ok := set["unprivileged"]; ok {
		return nil, badParam("unprivileged", "read-only")
	}
	for _, opt := range gone {
		if table[opt] == nil {
			return nil, badParam("delete", "unknown option '%s'", opt)
		}
		if _, ok := set[opt]; ok {
			return nil, badParam("delete", "you can't use '-%s' and -delete %s' at the same time", opt, opt)
		}
	}
	vmid := q.vmid()
	s.lock()
	unprivileged := s.containers[vmid] == nil || s.containers[vmid].conf["unprivileged"] == "1"
	err := s.mayModifyContainer(q.token, vmid, "", gone, nil, unprivileged)
	if err == nil {
		err = s.mayModifyContainer(q.token, vmid, "", nil, set, unprivileged)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	release, aerr := q.node.locks.acquire(q.ctx, vmid, false, s.opts.Timing.LockTimeout, nil)
	if aerr != nil {
		return nil, aerr
	}
	defer release()
	if err := pause(q.ctx, s.opts.Timing.Config); err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	ct, err := s.containerOn(q.node.name, vmid)
	if err != nil {
		return nil, err
	}
	if err := ct.checkLock(); err != nil {
		return nil, err
	}
	if d := p.str("digest"); d != "" && d != ct.digest() {
		return nil, failf("detected modified configuration - file changed by other user? Try again.")
	}
	for _, opt := range splitList(p.str("revert")) {
		delete(ct.pending, opt)
		delete(ct.pendDel, opt)
	}
	if err := s.newMounts(q.token, ct, set); err != nil {
		return nil, err
	}
	s.normaliseContainer(set)
	ct.apply(set, gone)
	s.noteUpdate(ct.node, q.token, fmt.Sprintf("CT %d", vmid), p)
	return nil, nil
}

// apply makes changes at once, or keeps for the next start what a running container can't take.
func (ct *container) apply(set map[string]string, gone []string) {
	for _, opt := range gone {
		delete(ct.pending, opt)
		if ct.running && waitsForStart(opt) {
			ct.pendDel[opt] = true
		} else {
			delete(ct.conf, opt)
		}
	}
	for opt, value := range set {
		delete(ct.pendDel, opt)
		switch {
		case ct.running && waitsForStart(opt):
			ct.pending[opt] = value
		case value == "" && (opt == "description" || opt == "tags"):
			delete(ct.conf, opt)
		default:
			ct.conf[opt] = value
		}
	}
}

// applyPending makes pending changes real, as a start does.
func (ct *container) applyPending() {
	set, gone := ct.pending, slices.Collect(maps.Keys(ct.pendDel))
	ct.pending, ct.pendDel = map[string]string{}, map[string]bool{}
	ct.apply(set, gone)
}

// waitsForStart are options that a running container keeps pending (pve-container LXC/Config.pm, vmconfig_hotplug_pending).
func waitsForStart(opt string) bool {
	switch opt {
	case "arch", "cmode", "console", "entrypoint", "env", "features", "ostype", "timezone", "tty":
		return true
	}
	return isMountPoint(opt) || isNumbered(opt, "dev")
}

// normaliseContainer rewrites values as Proxmox stores them. The caller holds Server.mu.
func (c *cluster) normaliseContainer(set map[string]string) {
	for _, opt := range slices.Sorted(maps.Keys(set)) {
		switch {
		case isNumbered(opt, "net"):
			fields := containerFields(opt, set[opt])
			name := fields["name"]
			delete(fields, "name")
			if fields["hwaddr"] == "" {
				fields["hwaddr"] = c.randomMAC()
			}
			fields["hwaddr"] = strings.ToUpper(fields["hwaddr"])
			fields["type"] = "veth"
			set[opt] = "name=" + name + "," + printProps(fields)
		case opt == "tags":
			set[opt] = normalTags(set[opt])
		}
	}
}

// mayModifyContainer refuses options that the token may not change (pve-container LXC.pm, check_ct_modify_config_perm).
// inPool is the resource pool of a container in the making.
func (s *Server) mayModifyContainer(t *token, vmid int, inPool string, gone []string, set map[string]string, unprivileged bool) *apiError {
	opts := append(slices.Clone(gone), slices.Collect(maps.Keys(set))...)
	slices.Sort(opts)
	for _, opt := range opts {
		if err := s.mayModifyOption(t, vmid, inPool, opt, set[opt], unprivileged); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) mayModifyOption(t *token, vmid int, inPool, opt, value string, unprivileged bool) *apiError {
	switch {
	case opt == "cores" || opt == "cpulimit" || opt == "cpuunits":
		return s.requireVM(t, vmid, inPool, "VM.Config.CPU")
	case opt == "memory" || opt == "swap":
		return s.requireVM(t, vmid, inPool, "VM.Config.Memory")
	case opt == "hostname" || opt == "nameserver" || opt == "searchdomain":
		return s.requireVM(t, vmid, inPool, "VM.Config.Network")
	case isNumbered(opt, "net"):
		if err := s.requireVM(t, vmid, inPool, "VM.Config.Network"); err != nil {
			return err
		}
		return s.mayUseBridge(t, containerFields(opt, value))
	case isMountPoint(opt):
		if err := s.requireVM(t, vmid, inPool, "VM.Config.Disk"); err != nil {
			return err
		}
		if v := containerFields(opt, value)["volume"]; strings.HasPrefix(v, "/") {
			return forbidden("mount point type bind is only allowed for root@pam")
		}
		return nil
	case opt == "features":
		return s.mayUseFeatures(t, vmid, inPool, value, unprivileged)
	case opt == "hookscript":
		return forbidden("changing the hookscript is only allowed for root@pam")
	case isNumbered(opt, "dev"):
		return forbidden("configuring device passthrough is only allowed for root@pam")
	case opt == "tags": // on the container itself, which is in no pool yet: what a pool grants doesn't count (recorded)
		old := ""
		if ct := s.containers[vmid]; ct != nil {
			old = ct.conf["tags"]
		}
		return s.mayTag(t, vmid, old, value)
	}
	return s.requireVM(t, vmid, inPool, "VM.Config.Options")
}

// mayUseFeatures admits nesting alone, for an unprivileged container.
func (c *cluster) mayUseFeatures(t *token, vmid int, inPool, value string, unprivileged bool) *apiError {
	if !unprivileged {
		return forbidden("changing feature flags for privileged container is only allowed for root@pam")
	}
	fields := containerFields("features", value)
	delete(fields, "nesting")
	if len(fields) > 0 {
		return forbidden("changing feature flags (except nesting) is only allowed for root@pam")
	}
	if c.may(t, fmt.Sprintf("/vms/%d", vmid), "VM.Allocate") {
		return nil
	}
	return c.requireVM(t, vmid, inPool, "VM.Allocate")
}
