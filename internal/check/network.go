package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/proxmox"
)

// bridgeUse is a bridge that VMs are put on.
type bridgeUse struct{ node, bridge, why, cure string }

// bridgesUsed lists the bridges of all features, by node.
func (c *checker) bridgesUsed() []bridgeUse {
	var list []bridgeUse
	node := c.Config.Proxmox.Node
	if c.wants(Run) {
		for _, t := range c.templates {
			for _, b := range t.bridges() {
				list = append(list, bridgeUse{node, b, "template " + t.base, fmt.Sprintf("set the template's network card to one that is there: on the node: qm set %d --net0 virtio,bridge=BRIDGE", t.id)})
			}
		}
	}
	if c.wants(Build) {
		for _, n := range c.buildNodes() {
			list = append(list, bridgeUse{n, c.Config.Image.Bridge, "builds", "set image.bridge to one that is there"})
		}
	}
	if c.wants(Bootstrap) {
		list = append(list, bridgeUse{node, c.Config.Bootstrap.Bridge, "the container", "set CT_BRIDGE (bootstrap.bridge) to one that is there"})
	}
	return list
}

// bridges looks whether each bridge is on its node. One that the token has no privilege on is hidden; that has a finding of its own.
func (c *checker) bridges(ctx context.Context) {
	const id = "bridge"
	there := map[string][]string{}
	seen := map[string]bool{}
	for _, u := range c.bridgesUsed() {
		key := u.node + " " + u.bridge
		if _, up := c.storages[u.node]; !up || seen[key] || !c.may(bridgePath(c.granted, u.bridge), "SDN.Use") {
			continue
		}
		seen[key] = true
		what := fmt.Sprintf("bridge %s on %s (%s)", u.bridge, u.node, u.why)
		list, asked := there[u.node]
		if !asked {
			var err error
			if list, err = c.Proxmox.Bridges(ctx, u.node); err != nil {
				c.tell(id, Warning, what, err.Error(), "on the node: ip -br link show type bridge")
				continue
			}
			there[u.node] = list
		}
		if slices.Contains(list, u.bridge) {
			c.ok(id, what, "is there")
			continue
		}
		c.tell(id, Error, what, "isn't on the node, which has "+orNone(list)+": nothing on it starts", u.cure)
	}
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none that this token may use"
	}
	return strings.Join(list, ", ")
}

// firewalls looks at the rules that clones inherit from their templates.
func (c *checker) firewalls(ctx context.Context) {
	const id = "firewall"
	var guarded []template
	for _, t := range c.templates {
		if !t.found || t.err != nil {
			continue
		}
		what := "firewall of " + t.String()
		f, err := c.Proxmox.VMFirewall(ctx, c.Config.Proxmox.Node, t.id)
		switch {
		case err != nil:
			c.tell(id, Warning, what, err.Error(), fmt.Sprintf("on a node: pvesh get /nodes/%s/qemu/%d/firewall/options", c.Config.Proxmox.Node, t.id))
			continue
		case !f.Enabled:
			c.ok(id, what, "is off: what runners reach is up to your network (PROXMOX_SETUP.md, section 8)")
			continue
		}
		before := len(c.findings)
		set := func(option string) string {
			return fmt.Sprintf("pvesh set /nodes/%s/qemu/%d/firewall/options %s", c.Config.Proxmox.Node, t.id, option)
		}
		if f.IPFilter {
			c.mend(id, Warning, what, "filters by address (ipfilter), which drops all of a guest that has its address by DHCP", "", set("--ipfilter 0"))
		}
		if !f.DHCP && f.PolicyIn != "ACCEPT" {
			c.mend(id, Warning, what, "doesn't let DHCP through, so that guests get no address: incoming packets are dropped", "", set("--dhcp 1"))
		}
		for _, key := range t.openCards() {
			c.mend(id, Warning, what, "is on, and "+key+" has no firewall=1: rules don't count there", c.Config.Proxmox.Node, fmt.Sprintf("qm set %d --%s '%s,firewall=1'", t.id, key, t.cfg.Values[key]))
		}
		if len(c.findings) == before {
			guarded = append(guarded, t)
		}
	}
	if len(guarded) > 0 {
		c.datacenterFirewall(ctx, guarded)
	}
}

// openCards are network cards that the firewall doesn't watch.
func (t template) openCards() []string {
	var list []string
	for key, value := range t.cfg.Values {
		if strings.HasPrefix(key, "net") && !slices.Contains(strings.Split(value, ","), "firewall=1") {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return list
}

// datacenterFirewall looks whether rules of templates count at all.
func (c *checker) datacenterFirewall(ctx context.Context, guarded []template) {
	const id, what = "firewall", "firewall of the datacenter"
	on, err := c.Proxmox.FirewallEnabled(ctx)
	switch {
	case errors.Is(err, proxmox.Permission):
		c.tell(id, Unseen, what, "shows only with Sys.Audit on /; while it is off, the rules of "+guarded[0].String()+" count nothing", "look at Datacenter → Firewall → Options; "+c.auditRoot())
	case err != nil:
		c.tell(id, Warning, what, err.Error(), "on a node: pvesh get /cluster/firewall/options")
	case !on:
		c.tell(id, Warning, what, "is off, so that the rules of "+guarded[0].String()+" count nothing", "Datacenter → Firewall → Options → Firewall: Yes; add a rule for your own access to port 8006 first")
	default:
		c.ok(id, what, "is on")
	}
}
