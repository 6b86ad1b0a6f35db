package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/proxmox"
)

// means is what the cluster and the token allow, as far as the ways need it. The texts say what is missing and how to
// grant it; "" is nothing. What isn't known counts as allowed: the first call that is refused says the same.
type means struct {
	agent, iso string
	read       time.Time
}

// look brings means up to date, from time to time: a privilege may be granted while Mayfly runs.
func (g *gatherer) lookMeans(ctx context.Context, at time.Time) {
	if g.spec.Way != WayAuto && g.spec.Way != WayISO || at.Sub(g.means.read) <= g.spec.Timing.Reread {
		return
	}
	granted, err := g.pve.Permissions(ctx)
	if err != nil {
		return
	}
	storages, err := g.pve.Storages(ctx, g.spec.Node)
	if err != nil {
		return
	}
	g.means = g.spec.judge(granted, storages)
	g.means.read = at
}

// judge tells from the token's privileges and the storages that it sees what can't work.
func (s Spec) judge(granted map[string]map[string]bool, storages []proxmox.Storage) means {
	vms := "/vms"
	if s.ResourcePool != "" {
		vms = "/pool/" + s.ResourcePool
	}
	onVMs := func(privilege string) bool {
		return proxmox.Holds(granted, vms, privilege) || proxmox.Holds(granted, "/vms", privilege)
	}
	var m means
	// Proxmox VE 9 has privileges of their own for the guest agent; before, VM.Monitor was all of them.
	if !onVMs("VM.GuestAgent.Unrestricted") && !onVMs("VM.Monitor") {
		m.agent = fmt.Sprintf("the token lacks VM.GuestAgent.Unrestricted (before Proxmox VE 9: VM.Monitor) on %s; run: %s", vms,
			s.grant(vms, "MayflyAgent", "VM.GuestAgent.Audit", "VM.GuestAgent.FileRead", "VM.GuestAgent.Unrestricted"))
	}
	m.iso = s.judgeISO(granted, storages, vms, onVMs)
	return m
}

// judgeISO names all that the iso hand-off lacks at once.
func (s Spec) judgeISO(granted map[string]map[string]bool, storages []proxmox.Storage, vms string, onVMs func(string) bool) string {
	var lacks []string
	onStorage := "/storage/" + s.Storage
	var missing []string
	if !proxmox.Holds(granted, onStorage, "Datastore.AllocateTemplate") {
		missing = append(missing, "Datastore.AllocateTemplate")
	}
	if !proxmox.Holds(granted, onStorage, "Datastore.Audit") && !proxmox.Holds(granted, onStorage, "Datastore.AllocateSpace") {
		missing = append(missing, "Datastore.Audit")
	}
	if len(missing) > 0 {
		lacks = append(lacks, fmt.Sprintf("the token lacks %s on %s; run: %s", strings.Join(missing, " and "), onStorage,
			s.grant(onStorage, "MayflyISO", "Datastore.Allocate", "Datastore.AllocateTemplate", "Datastore.Audit")))
	}
	if !onVMs("VM.Config.CDROM") {
		lacks = append(lacks, fmt.Sprintf("the token lacks VM.Config.CDROM on %s; run: %s", vms, s.grant(vms, "MayflyCDROM", "VM.Config.CDROM")))
	}
	at := slices.IndexFunc(storages, func(st proxmox.Storage) bool { return st.Name == s.Storage })
	switch {
	case at >= 0 && !s.lone() && !storages[at].Shared: // it is uploaded to the home node
		lacks = append(lacks, fmt.Sprintf("storage %s isn't shared, and runners live on several nodes; set PROXMOX_STORAGE (proxmox.storage) to a storage that all of them see", s.Storage))
	case at < 0 && len(missing) == 0: // whom Proxmox shows it
		lacks = append(lacks, fmt.Sprintf("node %s has no storage %q; set PROXMOX_STORAGE (proxmox.storage)", s.Node, s.Storage))
	case at < 0:
	case !slices.Contains(storages[at].Content, "iso"):
		lacks = append(lacks, fmt.Sprintf("storage %s takes no ISO images; run: pvesm set %s --content %s", s.Storage, s.Storage,
			strings.Join(append(slices.Clone(storages[at].Content), "iso"), ",")))
	case !storages[at].Enabled || !storages[at].Active:
		lacks = append(lacks, fmt.Sprintf("storage %s isn't active on node %s; see Datacenter, Storage", s.Storage, s.Node))
	}
	return strings.Join(lacks, "; ")
}

// grant is the command that gives the privileges to the token and to its user, who has to have them, too.
func (s Spec) grant(on, role string, privileges ...string) string {
	user, _, _ := strings.Cut(s.Token, "!")
	return fmt.Sprintf("pveum role add %s --privs %s && pveum acl modify %s --roles %s --users %s --tokens '%s'",
		role, strings.Join(privileges, ","), on, role, user, s.Token)
}
