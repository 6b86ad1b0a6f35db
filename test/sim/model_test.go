package sim

import (
	"time"

	"mayfly/internal/sim/pve"
)

// model is what the world itself knows of the fleet, from what the stand-ins did: never from what the dispatcher says.
type model struct {
	w *world
	// vms are the VMs that the dispatcher's token made and that still exist, by VMID.
	vms map[int]*machine
	// asked are clones that were asked for, by VMID: the VM comes with the task.
	asked map[int]*machine
	made  int
	gone  map[int]death
	// over is when VMs were destroyed, by name.
	over      map[string]time.Time
	badGuests map[string]bool
	cancelled map[int64]bool
	// died are the nodes that were without power once.
	died map[string]bool
	// copies are the VMIDs of copies that the administrator made of our VMs, which are the administrator's; restores are VMs
	// whose backup is about to take their place.
	copies   map[int]bool
	restores map[int]*machine
	// reused are VMIDs of ours under which the administrator made VMs at once.
	reused map[int]reuse
}

// reuse is since when a VMID is somebody else's, and when processes set out to read the config of the VM that was ours.
type reuse struct {
	since  time.Time
	looked map[int]time.Time
}

// machine is one VM of the fleet.
type machine struct {
	vmid    int
	node    string
	name    string
	pool    string
	gen     int // the process that made it
	created time.Time
	running bool
	ran     bool      // it was started once
	off     bool      // it powered itself off, or an administrator did it
	taken   time.Time // since when it is somebody else's
	back    bool      // it was restored from a backup
	stopped bool      // a process of ours asked to stop it
	halted  bool      // its processors stand still for good
	// lockedAt is since when it has been seen locked; abandoned says that only the administrator can remove it.
	lockedAt  time.Time
	abandoned bool
	hidden    bool // outside the resource pool, where no token sees it
	// read and answered are when its config was last read, and GitHub last answered about its registration, by which
	// process, since it set out to destroy the VM.
	read, answered map[int]time.Time
	// looked is when a process set out to read the config that it has.
	looked map[int]time.Time
}

// death is the end of a VM.
type death struct {
	at  time.Time
	gen int // the process that asked for it
}

func newModel(w *world) *model {
	return &model{w: w, vms: map[int]*machine{}, asked: map[int]*machine{}, gone: map[int]death{}, over: map[string]time.Time{}, badGuests: map[string]bool{}, cancelled: map[int64]bool{}, died: map[string]bool{}, copies: map[int]bool{}, restores: map[int]*machine{}, reused: map[int]reuse{}}
}

func (m *model) bad(name string) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.badGuests[name] = true
}

// left counts the VMs that still exist.
func (m *model) left() int {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return len(m.vms)
}

func (m *model) named(name string) *machine {
	for _, v := range m.vms {
		if v.name == name {
			return v
		}
	}
	return nil
}

func (m *model) began(c *call) {
	if v := m.vms[c.vmid]; v != nil && c.is(routeStop) {
		v.stopped = true
	}
	if c.is(routeClone) {
		id := atoi(c.newID())
		m.asked[id] = &machine{
			vmid: id, name: c.form.Get("name"), pool: poolOf(c.form.Get("name")), gen: c.gen,
			read: map[int]time.Time{}, answered: map[int]time.Time{}, looked: map[int]time.Time{},
		}
	}
}

func (m *model) ended(c *call) {
	if c.is(routeConfig) && c.good() {
		if v := m.vms[c.vmid]; v != nil {
			v.read[c.gen], v.looked[c.gen] = time.Now(), c.at
		}
		if u, is := m.reused[c.vmid]; is {
			u.looked[c.gen] = c.at
		}
	}
}

func (m *model) changed(c pve.Change) {
	switch c.Kind {
	case pve.ChangeCreated:
		if v := m.restores[c.VMID]; v != nil && c.By != m.w.spec.Token {
			delete(m.restores, c.VMID)
			back := *v
			back.node, back.running, back.off, back.stopped, back.halted, back.back = c.Node, false, true, false, false, true
			back.read, back.answered, back.looked = map[int]time.Time{}, map[int]time.Time{}, map[int]time.Time{}
			m.vms[c.VMID] = &back
			return
		}
		if c.By == "" || c.By != m.w.spec.Token { // what was there before, or the administrator's
			return
		}
		delete(m.copies, c.VMID)
		delete(m.restores, c.VMID)
		v := m.asked[c.VMID]
		if v == nil {
			m.w.violated("model", "VM %d was made by our token, and no process asked for it", c.VMID)
			return
		}
		delete(m.asked, c.VMID)
		v.created, v.node = c.At, c.Node
		m.vms[c.VMID] = v
		m.made++
	case pve.ChangeDestroyed:
		delete(m.copies, c.VMID)
		delete(m.reused, c.VMID)
		if v := m.vms[c.VMID]; v != nil {
			if !v.hidden || v.gen == m.w.gen { // else the process that works now never knew of it
				m.gone[c.VMID] = death{at: c.At, gen: m.w.gen}
			}
			m.over[v.name] = c.At
			delete(m.vms, c.VMID)
		}
	case pve.ChangeStarted, pve.ChangeStopped:
		if v := m.vms[c.VMID]; v != nil {
			v.running = c.Kind == pve.ChangeStarted
			v.ran = v.ran || v.running
			v.off = !v.running && !v.stopped
		}
	}
}

// destroys notes that a process sets out to destroy a VM: what it read and asked before doesn't count.
func (m *model) destroys(gen, vmid int) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if v := m.vms[vmid]; v != nil {
		delete(v.read, gen)
		delete(v.answered, gen)
	}
}
