package check

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/proxmox"
)

// permissions compares what the token may do with what the features take, path by path.
func (c *checker) permissions(ctx context.Context) {
	const id = "proxmox-privileges"
	granted, err := c.Proxmox.Permissions(ctx)
	if err != nil {
		c.tell(id, Error, "privileges of token "+c.Config.Proxmox.TokenID, err.Error(), fmt.Sprintf("on a node: pveum user token permissions %s %s", user(c.Config.Proxmox.TokenID), tokenName(c.Config.Proxmox.TokenID)))
		return
	}
	c.granted = granted
	var order []lack
	seen := map[string]bool{}
	for _, n := range needs(c.Config, c.places(granted)) {
		if !c.wants(n.feature) {
			continue
		}
		at := slices.IndexFunc(order, func(l lack) bool { return l.path == n.path && l.role == n.role })
		if seen[n.path+" "+n.privilege] {
			if at >= 0 {
				order[at].features = appendNew(order[at].features, string(n.feature))
			}
			continue
		}
		seen[n.path+" "+n.privilege] = true
		if at < 0 {
			order = append(order, lack{path: n.path, role: n.role, level: OK})
			at = len(order) - 1
		}
		l := &order[at]
		l.features = appendNew(l.features, string(n.feature))
		if c.covers(granted, n) {
			continue
		}
		l.privileges = append(l.privileges, n.privilege)
		l.why = appendNew(l.why, n.why)
		if n.level.rank() > l.level.rank() {
			l.level = n.level
		}
	}
	for _, l := range order {
		what := fmt.Sprintf("privileges on %s (%s)", l.path, strings.Join(l.features, ", "))
		if len(l.privileges) == 0 {
			c.ok(id, what, "are what role "+l.role+" has")
			continue
		}
		c.mend(id, l.level, what, fmt.Sprintf("the token lacks %s on %s: %s", strings.Join(l.privileges, ", "), l.path, strings.Join(l.why, "; ")), "", c.grant(l)...)
	}
}

// covers reports whether the token has what is needed where it is used: a grant on a node is enough for the guide's /nodes when
// no other node is used, one on /vms for VMs that are in a resource pool (not for seeing what is in it).
func (c *checker) covers(granted map[string]map[string]bool, n need) bool {
	switch {
	case n.path == "/nodes":
		nodes := []string{c.Config.Proxmox.Node}
		if n.feature == Build {
			nodes = c.buildNodes()
		}
		return !slices.ContainsFunc(nodes, func(name string) bool { return !proxmox.Holds(granted, "/nodes/"+name, n.privilege) })
	case n.privilege == "SDN.Use" && c.coversVLANs(granted, n):
		return true
	case strings.HasPrefix(n.path, "/pool/") && strings.HasPrefix(n.privilege, "VM.") && proxmox.Holds(granted, "/vms", n.privilege):
		return true
	}
	return proxmox.Holds(granted, n.path, n.privilege)
}

// coversVLANs reports whether the token may use a bridge by the VLANs alone that its cards are on (pve-guest-common GuestHelpers.pm:
// the path goes on with the tag).
func (c *checker) coversVLANs(granted map[string]map[string]bool, n need) bool {
	var cards []card
	switch n.feature {
	case Run:
		for _, t := range c.templates {
			cards = append(cards, t.cards()...)
		}
	case Build:
		if c.Config.Image.VLAN > 0 {
			cards = []card{{c.Config.Image.Bridge, strconv.Itoa(c.Config.Image.VLAN)}}
		}
	case Bootstrap: // has no VLAN of its own
	}
	cards = slices.DeleteFunc(cards, func(x card) bool { return path.Base(n.path) != x.bridge })
	return len(cards) > 0 && !slices.ContainsFunc(cards, func(x card) bool { return x.vlan == "" || !proxmox.Holds(granted, n.path+"/"+x.vlan, n.privilege) })
}

// lack is what is missing of one role on one path.
type lack struct {
	path, role string
	level      Level
	features   []string
	privileges []string
	why        []string
}

// grant are the commands that give what is missing, to the token and to its user, who has to have it, too. It only adds: a role
// of that name keeps what it has.
func (c *checker) grant(l lack) []string {
	token := c.Config.Proxmox.TokenID
	acl := fmt.Sprintf("pveum acl modify %s --users %s --tokens '%s' --roles %s", l.path, user(token), token, l.role)
	if strings.HasPrefix(l.role, "PVE") {
		return []string{acl}
	}
	privileges := strings.Join(l.privileges, " ")
	return []string{fmt.Sprintf("pveum role add %s --privs %q || pveum role modify %s --append 1 --privs %q", l.role, privileges, l.role, privileges), acl}
}

// places finds the paths, from the configuration and from the templates that the token sees.
func (c *checker) places(granted map[string]map[string]bool) places {
	p := places{
		runners: poolPath(c.Config.Proxmox.ResourcePool), builds: poolPath(c.Config.Image.ResourcePool), before9: c.before9(),
		container: bootstrapPlaces{
			pool: poolPath(c.Config.Proxmox.ResourcePool), bridge: bridgePath(granted, c.Config.Bootstrap.Bridge), disk: c.Config.Bootstrap.Storage, files: c.Config.Bootstrap.TemplateStorage,
		},
	}
	for _, t := range c.templates {
		if path := c.templatePath(t, granted); path != "" {
			p.templates = appendNew(p.templates, path)
		}
		for _, d := range t.disks() {
			p.disks = appendNew(p.disks, d.storage)
		}
		for _, b := range t.bridges() {
			p.bridges = appendNew(p.bridges, bridgePath(granted, b))
		}
	}
	for _, pool := range c.Config.Pools {
		if pool.FullClone && pool.Storage != "" {
			p.disks = appendNew(p.disks, pool.Storage)
		}
	}
	// Without a template to look at, what templates are made with by default.
	if len(p.disks) == 0 {
		p.disks = []string{c.Config.Image.Storage}
	}
	if len(p.bridges) == 0 {
		p.bridges = []string{bridgePath(granted, c.Config.Image.Bridge)}
	}
	return p
}

// templatePath is where a template's privileges come from: its own path where they are complete, or its resource pool lacks
// nothing, which it can't be in then; else the configured resource pool. It is "" where neither is known.
func (c *checker) templatePath(t template, granted map[string]map[string]bool) string {
	own, pool := fmt.Sprintf("/vms/%d", t.id), poolPath(c.Config.Image.ResourcePool)
	complete := func(on string) bool {
		return proxmox.Holds(granted, on, "VM.Audit") && proxmox.Holds(granted, on, "VM.Clone")
	}
	switch {
	case c.Config.Image.ResourcePool == "" && !t.found:
		return ""
	case c.Config.Image.ResourcePool == "", t.found && (complete(own) || complete(pool)):
		return own
	}
	return pool
}

func poolPath(name string) string {
	if name == "" {
		return "/vms"
	}
	return "/pool/" + name
}

// bridgePath is a bridge's path: in the SDN zone where something is granted on it, else in the zone of plain bridges.
func bridgePath(granted map[string]map[string]bool, bridge string) string {
	var found []string
	for p := range granted {
		if strings.HasPrefix(p, "/sdn/zones/") && strings.HasSuffix(p, "/"+bridge) {
			found = append(found, p)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return "/sdn/zones/localnetwork/" + bridge
}

// may reports whether the token is known to have a privilege on a path.
func (c *checker) may(path, privilege string) bool { return proxmox.Holds(c.granted, path, privilege) }

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
