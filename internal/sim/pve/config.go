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
		if s.methods.config[k] != nil {
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
	if err := ch.lists(p, s.methods.config); err != nil {
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

// lists reads delete and revert, of the options that there are.
func (ch *change) lists(p params, options map[string]*schemaType) *apiError {
	known := func(opt string) bool { return options[opt] != nil }
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
	if aerr == nil && s.readOnly(ch.node.name) {
		aerr = s.unwritable(ch.node.name, ch.vmid)
	}
	if aerr == nil {
		aerr = s.apply(v, ch, w)
	}
	if aerr == nil {
		s.noteLocked(ch.node.name, ch.auth, fmt.Sprintf("update VM %d:%s", ch.vmid, ch.summary))
	}
	s.mu.Unlock()
	if aerr != nil {
		return aerr
	}
	return s.changeMedia(ctx, ch)
}
