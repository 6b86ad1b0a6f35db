package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/proxmox"
)

// reachProxmox asks the cheapest question: it shows address, certificate and token at once.
func (c *checker) reachProxmox(ctx context.Context) bool {
	p := c.Config.Proxmox
	what := "Proxmox " + strings.Join(p.Endpoints, ", ")
	v, err := c.Proxmox.Version(ctx)
	switch {
	case err == nil:
		c.release = v.Version
		c.ok("proxmox-reachable", what, "answers, and takes token "+p.TokenID)
		return true
	case errors.Is(err, proxmox.Unauthorized):
		c.tell("proxmox-token", Error, what, err.Error(), fmt.Sprintf("on a node: pveum user token list %s; where %s isn't listed or its secret is lost: pveum user token add %s %s --privsep 0, and set PROXMOX_TOKEN_SECRET",
			user(p.TokenID), p.TokenID, user(p.TokenID), tokenName(p.TokenID)))
	case errors.Is(err, proxmox.Untrusted):
		c.tell("proxmox-certificate", Error, what, err.Error(), c.pin(ctx))
	default:
		c.tell("proxmox-reachable", Error, what, err.Error(), "on this machine: curl -k "+p.Endpoints[0]+"; open port 8006 to a node, or mend PROXMOX_URL")
	}
	return false
}

// certificate says how Proxmox is told from somebody who pretends to be it.
func (c *checker) certificate(ctx context.Context) {
	p := c.Config.Proxmox
	const id, what = "proxmox-certificate", "certificate of Proxmox"
	plain := !slices.ContainsFunc(p.Endpoints, func(e string) bool { return strings.HasPrefix(e, "https:") })
	switch {
	case plain:
		c.ok(id, what, "none: the address is this machine's own, without TLS")
	case p.Fingerprint != "":
		c.ok(id, what, "is the pinned one")
	case p.CAFile != "":
		c.ok(id, what, "is vouched for by "+p.CAFile)
	case p.VerifyTLS:
		c.ok(id, what, "is vouched for by this system's authorities")
	default:
		c.tell(id, Warning, what, "is not checked: anybody in between can read the token", c.pin(ctx))
	}
}

// pin is the cure of a certificate that nothing vouches for.
func (c *checker) pin(ctx context.Context) string {
	const compare = "compare with: on the node, pvenode cert info"
	if c.Pin != nil {
		if setting, err := c.Pin(ctx); err == nil {
			return "set " + setting + " (" + compare + ")"
		}
	}
	return "set PROXMOX_FINGERPRINT to the SHA-256 that the node shows (pvenode cert info), or PROXMOX_CA_FILE to a copy of its /etc/pve/pve-root-ca.pem"
}

// version compares with what is supported.
func (c *checker) version(context.Context) {
	const id, what = "proxmox-version", "Proxmox VE's version"
	release, ok := proxmox.ParseRelease(c.release)
	switch {
	case !ok:
		c.tell(id, Warning, what, fmt.Sprintf("%q is no version that Mayfly knows; it supports 8.4 and 9", c.release), "on a node: pveversion")
	case release.TooOld():
		c.tell(id, Error, what, c.release+" is too old: before 8.4 the API takes no disk images, and bodies of 64 KiB at most", "upgrade the nodes to 8.4 or 9: https://pve.proxmox.com/wiki/Category:Upgrade")
	case release.Unknown():
		c.tell(id, Warning, what, c.release+" is newer than what Mayfly was tried with (8.4 and 9)", "watch the first jobs, or use a newer Mayfly")
	default:
		c.ok(id, what, c.release+" is supported")
	}
}

// before9 reports whether the guest agent's privilege is VM.Monitor still.
func (c *checker) before9() bool {
	release, ok := proxmox.ParseRelease(c.release)
	return ok && release.Major < 9
}

// GitHub gives no session to a runner whose clock is more than five minutes off, and guests begin with their node's clock.
const (
	skewWarns = 30 * time.Second
	skewEnds  = 4 * time.Minute
)

func (c *checker) proxmoxClock(context.Context) {
	if ahead, ok := c.Proxmox.Skew(); ok {
		c.clock("proxmox-clock", "clock of Proxmox", ahead, "on the node: chronyc tracking; where it isn't synchronised: systemctl restart chrony")
	}
}

// clock judges how far a server's clock is ahead of ours.
func (c *checker) clock(id, what string, ahead time.Duration, cure string) {
	level, words := OK, "agrees with this machine's"
	if ahead.Abs() >= skewWarns {
		way := "ahead of"
		if ahead < 0 {
			way = "behind"
		}
		level, words = Warning, fmt.Sprintf("is %s %s this machine's", ahead.Abs().Round(time.Second), way)
	}
	if ahead.Abs() >= skewEnds {
		level, words = Error, words+"; GitHub refuses runners that are more than 5 minutes off"
	}
	if level == OK {
		cure = ""
	}
	c.tell(id, level, what, words, cure)
}

// nodes looks whether the nodes that are used are there and up, and reads what later checks look at.
func (c *checker) nodes(ctx context.Context) {
	all, err := c.Proxmox.Nodes(ctx)
	if err != nil {
		c.tell("proxmox-node", Error, "nodes", err.Error(), "on a node: pvecm status")
		return
	}
	if c.resources, err = c.Proxmox.Resources(ctx); err != nil {
		c.tell("proxmox-resources", Error, "list of the cluster's resources", err.Error(), "on a node: systemctl status pvestatd pveproxy")
	}
	c.storages = map[string][]proxmox.Storage{}
	for _, name := range c.nodesUsed() {
		if !c.node(name, all) {
			continue // its storages would have to be asked of it
		}
		list, err := c.Proxmox.Storages(ctx, name)
		if err != nil {
			c.tell("proxmox-storages", Error, "storages of node "+name, err.Error(), "on the node: pvesm status")
			continue
		}
		c.storages[name] = list
	}
}

// nodesUsed are the node that runners live on and those that images are built on.
func (c *checker) nodesUsed() []string {
	var list []string
	if c.wants(Run) || c.wants(Bootstrap) {
		list = append(list, c.Config.Proxmox.Node)
	}
	if c.wants(Build) {
		for _, n := range c.buildNodes() {
			list = appendNew(list, n)
		}
	}
	return list
}

// buildNodes are those that images are built on.
func (c *checker) buildNodes() []string {
	if len(c.Config.Image.Nodes) > 0 {
		return c.Config.Image.Nodes
	}
	return []string{c.Config.Proxmox.Node}
}

// node judges one node, and reports whether it is online.
func (c *checker) node(name string, all []proxmox.Node) bool {
	const id = "proxmox-node"
	what := "node " + name
	var names []string
	status := ""
	for _, n := range all {
		names = append(names, n.Name)
		if n.Name == name {
			status = n.Status
		}
	}
	switch status {
	case "online":
		c.ok(id, what, "is online")
	case "":
		c.tell(id, Error, what, "isn't in the cluster, which has "+strings.Join(names, ", "), "set PROXMOX_NODE (proxmox.node; image.nodes for builds) to one of them")
	default:
		c.tell(id, Error, what, "is "+status, "on a node: pvecm status")
	}
	return status == "online"
}

// resourcePools looks whether the resource pools exist.
func (c *checker) resourcePools(ctx context.Context) {
	const id = "resource-pool"
	for _, p := range []struct {
		name, whose, comment, key string
		wanted                    bool
	}{
		{c.Config.Proxmox.ResourcePool, "runners", "Mayfly runners", "proxmox.resource_pool", c.wants(Run)},
		{c.Config.Image.ResourcePool, "templates", "Mayfly templates", "image.resource_pool", c.wants(Build)},
	} {
		what := "resource pool of " + p.whose
		switch {
		case p.name == "" && p.wanted:
			c.tell(id, Warning, what, "none is set, so the token needs its privileges on /vms: every VM of the cluster",
				fmt.Sprintf("on a node: pveum pool add %s --comment '%s'; then set %s", map[string]string{"runners": "ci", "templates": "ci-templates"}[p.whose], p.comment, p.key))
		case p.name == "":
		default:
			_, err := c.Proxmox.ResourcePool(ctx, p.name)
			switch {
			case err == nil:
				c.ok(id, what+" "+p.name, "is there")
			case errors.Is(err, proxmox.NotFound):
				c.mend(id, Error, what+" "+p.name, "doesn't exist", "", fmt.Sprintf("pveum pool add %s --comment '%s'", p.name, p.comment))
			default:
				c.tell(id, Warning, what+" "+p.name, err.Error(), "on a node: pveum pool list")
			}
		}
	}
}

// user is the user part of a token's id, tokenName the rest.
func user(tokenID string) string {
	u, _, _ := strings.Cut(tokenID, "!")
	return u
}

func tokenName(tokenID string) string {
	_, n, _ := strings.Cut(tokenID, "!")
	return n
}
