package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// change is a PUT or POST config, checked as far as it can be without the lock.
type change struct {
	vmid    int
	node    *node
	auth    *token
	digest  string
	set     map[string]string
	delete  []string
	revert  []string
	summary string // "-memory 2048 -tags a", for the log
}

// putConfig changes options at once.
func (s *Server) putConfig(q *call) (any, error) {
	ch, err := s.prepareChange(q)
	if err != nil {
		return nil, err
	}
	s.lock()
	_, err = s.changeable(ch) // a config lock is said at once, without a wait for the lock file (recorded)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return nil, s.applyLocked(q.ctx, ch, nil)
}

// postConfig does the same in a task.
func (s *Server) postConfig(q *call) (any, error) {
	ch, err := s.prepareChange(q)
	if err != nil {
		return nil, err
	}
	s.lock()
	_, err = s.changeable(ch)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.fork(q.node.name, "qmconfig", strconv.Itoa(ch.vmid), q.token, func(ctx context.Context, w *worker) error {
		return s.applyLocked(ctx, ch, w)
	}), nil
}

// prepareChange checks parameters and privileges, in Proxmox's order.
func (s *Server) prepareChange(q *call) (*change, *apiError) {
	p := q.params
	ch := &change{vmid: q.vmid(), node: q.node, auth: q.token, digest: p.str("digest"), set: map[string]string{}}
	for _, k := range slices.Sorted(maps.Keys(p)) {
		switch k {
		case "node", "vmid", "digest", "background_delay", "import-working-storage":
		case "cipassword":
			ch.summary += " -cipassword <hidden>"
		default:
			ch.summary += " -" + k + " " + p.str(k)
		}
	}
	if p.yes("skiplock") {
		return nil, badParam("skiplock", "Only root may use this option.")
	}
	given := 0
	for k := range p {
		if loadMethods().config[k] != nil {
			given++
			if p.has(k) { // JSON's null changes nothing, but is no empty request either (recorded)
				ch.set[k] = p.str(k)
			}
		}
	}
	if v := p["cdrom"]; v != nil {
		given++
		if _, twice := ch.set["ide2"]; twice {
			return nil, badParam("cdrom", "conflicting options - can't use '-cdrom' and '-ide2' at the same time")
		}
		ch.set["ide2"] = scalar(v) + ",media=cdrom"
	}
	if p.str("delete") == "" && p.str("revert") == "" && given == 0 {
		return nil, failf("no options specified")
	}
	if keys := ch.set["sshkeys"]; keys != "" && !validKeys(unescape(keys)) {
		return nil, failf("SSH public key validation error")
	}
	if err := ch.lists(p); err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	if err := s.checkDrives(ch); err != nil {
		return nil, err
	}
	s.normalise(ch.set)
	if err := s.mayModify(ch.auth, ch.vmid, "", slices.Clone(ch.delete)); err != nil {
		return nil, err
	}
	if err := s.mayModify(ch.auth, ch.vmid, "", slices.Collect(maps.Keys(ch.set))); err != nil {
		return nil, err
	}
	if err := s.mayUseStorage(ch.auth, ch.set, ch.vmid); err != nil {
		return nil, err
	}
	return ch, s.mayUseBridges(ch.auth, ch.set)
}

// lists reads delete and revert.
func (ch *change) lists(p params) *apiError {
	known := func(opt string) bool { return loadMethods().config[opt] != nil }
	for _, opt := range splitList(p.str("revert")) {
		if !known(opt) {
			return badParam("revert", "unknown option '%s'", opt)
		}
		if _, ok := ch.set[opt]; ok {
			return badParam("delete", "you can't use '-%s' and -revert %s' at the same time", opt, opt)
		}
		ch.revert = append(ch.revert, opt)
	}
	for _, opt := range splitList(p.str("delete")) {
		if opt == "cdrom" {
			opt = "ide2"
		}
		if _, ok := ch.set[opt]; ok {
			return badParam("delete", "you can't use '-%s' and -delete %s' at the same time", opt, opt)
		}
		if slices.Contains(ch.revert, opt) {
			return badParam("revert", "you can't use '-delete %s' and -revert %s' at the same time", opt, opt)
		}
		if !known(opt) {
			return badParam("delete", "unknown option '%s'", opt)
		}
		ch.delete = append(ch.delete, opt)
	}
	return nil
}

// validKeys admits lines that look like OpenSSH public keys.
func validKeys(text string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 || !strings.HasPrefix(f[0], "ssh-") && !strings.HasPrefix(f[0], "ecdsa-") && !strings.HasPrefix(f[0], "sk-") || len(f[1]) < 40 {
			return false
		}
	}
	return true
}

// normalise rewrites values as Proxmox stores them.
func (c *cluster) normalise(set map[string]string) {
	for _, opt := range slices.Sorted(maps.Keys(set)) {
		switch {
		case isNumbered(opt, "net"):
			set[opt] = c.printNet(propFields(opt, set[opt]))
		case opt == "tags":
			set[opt] = normalTags(set[opt])
		case opt == "vmgenid" && set[opt] == "1":
			set[opt] = c.randomUUID()
		case opt == "name":
			set[opt] = strings.TrimSuffix(set[opt], "\n")
		}
	}
}

// changeable finds the VM and refuses what its present configuration forbids.
func (s *Server) changeable(ch *change) (*vm, *apiError) {
	v, err := s.vmOn(ch.node.name, ch.vmid)
	if err != nil {
		return nil, err
	}
	if ch.digest != "" && ch.digest != v.digest() {
		return nil, failf("checksum mismatch (file change by other user?)")
	}
	if err := v.checkLock(); err != nil {
		return nil, err
	}
	if b, ok := ch.set["balloon"]; ok {
		memory := confInt(v.conf, "memory", 512)
		if m, ok := ch.set["memory"]; ok {
			memory = confInt(map[string]string{"memory": m}, "memory", 512)
		}
		if n, _ := strconv.Atoi(b); n > memory {
			return nil, failf("balloon value too large (must be smaller than assigned memory)")
		}
	}
	return v, nil
}

// applyLocked takes the VM's lock and makes the change.
func (s *Server) applyLocked(ctx context.Context, ch *change, w *worker) error {
	var say func(string)
	if w != nil {
		say = w.say
	}
	release, err := ch.node.locks.acquire(ctx, ch.vmid, false, s.opts.Timing.LockTimeout, say)
	if err != nil {
		return err
	}
	defer release()
	s.lock()
	_, aerr := s.changeable(ch)
	s.mu.Unlock()
	if aerr != nil {
		return aerr
	}
	if w != nil {
		w.say(fmt.Sprintf("update VM %d:%s", ch.vmid, ch.summary))
	}
	if err := pause(ctx, s.opts.Timing.Config); err != nil {
		return err
	}
	s.lock()
	v, aerr := s.changeable(ch)
	if aerr == nil {
		aerr = s.apply(v, ch, w)
	}
	s.mu.Unlock()
	if aerr != nil {
		return aerr
	}
	return s.changeMedia(ctx, ch)
}

// asError keeps a nil *apiError from becoming an error that isn't nil.
func asError(err *apiError) error {
	if err == nil {
		return nil
	}
	return err
}

// apply makes the change: at once on a stopped VM, as pending on a running one except for what is no hardware.
func (s *Server) apply(v *vm, ch *change, w *worker) *apiError {
	for _, opt := range ch.revert {
		delete(v.pending, opt)
		delete(v.pendDel, opt)
	}
	for _, opt := range ch.delete {
		old, ok := v.conf[opt]
		if !ok {
			old, ok = v.pending[opt]
		}
		if !ok {
			if w != nil {
				s.logLocked(w, fmt.Sprintf("cannot delete '%s' - not set in current configuration!", opt))
			}
			continue
		}
		if err := s.mayDelete(v, ch, opt, old); err != nil {
			return err
		}
		delete(v.pending, opt)
		if v.running && !hotplugged(opt) {
			v.pendDel[opt] = true
			continue
		}
		s.unset(v, opt)
	}
	for _, opt := range slices.Sorted(maps.Keys(ch.set)) {
		value, err := s.mayReplace(v, ch, opt)
		if err != nil {
			return err
		}
		delete(v.pendDel, opt)
		if v.running && !hotplugged(opt) {
			if v.conf[opt] == value {
				delete(v.pending, opt)
			} else {
				v.pending[opt] = value
			}
			continue
		}
		s.setOption(v, opt, value)
	}
	return nil
}

// logLocked is worker.say for those who hold the state.
func (s *Server) logLocked(w *worker, line string) { w.task.log = append(w.task.log, line) }

// hotplugged are options that a running VM takes at once: what isn't hardware, and cloud-init's.
func hotplugged(opt string) bool {
	switch opt {
	case "name", "description", "tags", "onboot", "protection", "startup", "hookscript", "autostart", "shares", "lock",
		"ciuser", "cipassword", "cicustom", "sshkeys", "nameserver", "searchdomain", "ciupgrade", "citype", "migrate_speed",
		"migrate_downtime", "cpulimit", "cpuunits", "balloon", "tablet", "vmstatestorage":
		return true
	}
	// Network devices and drives are hot-plugged too (hotplug: network,disk,usb, the default).
	return isNumbered(opt, "net") || isNumbered(opt, "ipconfig") || isDrive(opt)
}

func (s *Server) mayDelete(v *vm, ch *change, opt, old string) *apiError {
	switch {
	case isDrive(opt):
		if err := v.checkProtection(fmt.Sprintf("can't remove drive '%s'", opt)); err != nil {
			return err
		}
		return s.mayDrive(ch.auth, v.id, opt, old)
	case isNumbered(opt, "unused"):
		if err := v.checkProtection(fmt.Sprintf("can't remove unused disk '%s'", old)); err != nil {
			return err
		}
		return s.requireVM(ch.auth, v.id, "", "VM.Config.Disk")
	case isNumbered(opt, "net"):
		return s.mayUseBridges(ch.auth, map[string]string{opt: old})
	case opt == "tags":
		return s.mayTag(ch.auth, v.id)
	}
	return s.mayByValue(ch.auth, v.id, "", opt, old, "delete")
}

// mayReplace checks what depends on the old and the new value, and makes new volumes; it returns the value to store.
func (s *Server) mayReplace(v *vm, ch *change, opt string) (string, *apiError) {
	value := ch.set[opt]
	switch {
	case opt == "tags":
		return value, s.mayTag(ch.auth, v.id)
	case isDrive(opt):
		if old, ok := v.conf[opt]; ok {
			if err := s.mayDrive(ch.auth, v.id, opt, old); err != nil {
				return "", err
			}
		}
		if err := s.mayDrive(ch.auth, v.id, opt, value); err != nil {
			return "", err
		}
		return s.plugDrive(v, opt, value)
	}
	return value, s.mayByValue(ch.auth, v.id, "", opt, value, "set")
}

// setOption stores a value; an empty description goes, and a cloud-init drive that something else takes the place of
// (qemu-server QemuServer.pm, vmconfig_register_unused_drive).
func (s *Server) setOption(v *vm, opt, value string) {
	if isDrive(opt) && isCloudinit(v.conf[opt]) {
		if old := parseDrive(opt, v.conf[opt]); old.file != parseDrive(opt, value).file {
			delete(s.volumes, s.key(v.node, old.file))
		}
	}
	if value == "" && (opt == "description" || opt == "tags") {
		delete(v.conf, opt)
		return
	}
	v.conf[opt] = value
}

// unset removes an option; a disk becomes unused, its volume stays.
func (s *Server) unset(v *vm, opt string) {
	old := v.conf[opt]
	delete(v.conf, opt)
	if isNumbered(opt, "unused") {
		delete(s.volumes, s.key(v.node, old))
		return
	}
	d := parseDrive(opt, old)
	if !isDrive(opt) || d.storage() == "" {
		return
	}
	if d.cloudinit() {
		delete(s.volumes, s.key(v.node, d.file))
		return
	}
	if !d.cdrom() {
		for i := range indexLimits["unused"] {
			k := fmt.Sprintf("unused%d", i)
			if _, taken := v.conf[k]; !taken {
				v.conf[k] = d.file
				break
			}
		}
	}
	v.dropFromBoot(opt)
}

// dropFromBoot takes a device out of the boot order.
func (v *vm) dropFromBoot(opt string) {
	order, ok := strings.CutPrefix(v.conf["boot"], "order=")
	if !ok {
		return
	}
	left := slices.DeleteFunc(strings.Split(order, ";"), func(o string) bool { return o == opt })
	v.conf["boot"] = "order=" + strings.Join(left, ";")
}

// applyPending makes pending changes real, as a start does.
func (s *Server) applyPending(v *vm) {
	for opt := range v.pendDel {
		s.unset(v, opt)
	}
	for opt, value := range v.pending {
		s.setOption(v, opt, value)
	}
	v.pending, v.pendDel = map[string]string{}, map[string]bool{}
}
