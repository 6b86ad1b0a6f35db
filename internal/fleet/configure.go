package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// notTag is what a Proxmox tag may not hold (format pve-tag).
var notTag = regexp.MustCompile(`[^a-z0-9_.+-]+`)

// tagFor makes a word a tag.
func tagFor(word string) string { return notTag.ReplaceAllString(strings.ToLower(word), "-") }

// Tags are those that a runner's VM carries: they repeat the marker's gist for people and prove nothing.
func Tags(installation, pool string) []string {
	return []string{"mayfly", "mayfly-" + tagFor(installation), "pool-" + tagFor(pool)}
}

// configure shapes the clone: tags, size, MAC address, and what a one-job VM must not inherit. It is one PUT, which is
// synchronous, and a task where its pool asks for a larger disk. The config is read before, so after a lost reply it is
// known whether that took effect.
func (c *Controller) configure(ctx context.Context, a action) outcome {
	read := time.Now()
	cfg, err := c.pve.VMConfig(ctx, a.node, a.vmid)
	if err != nil {
		return c.stepFailed(fmt.Errorf("runner %s: read config of VM %d: %w", a.name, a.vmid, err))
	}
	if err := freshlyOurs(a, cfg); err != nil {
		return c.disowned(cfg, err)
	}
	set := c.shape(a, cfg)
	maps.DeleteFunc(set, func(key, value string) bool { return cfg.Values[key] == value })
	var lostTags, lostNet error
	for {
		err = nil
		if len(set) > 0 {
			err = c.pve.SetConfig(ctx, a.node, a.vmid, set, nil, "")
		}
		switch {
		case err == nil:
			cfg, err := c.grow(ctx, a, cfg.With(set))
			if err != nil {
				return c.stepFailed(err)
			}
			return done(func(e *entry, now time.Time) {
				e.configured = now
				c.configs[e.vmid] = cachedConfig{cfg: cfg, read: read}
				c.lostPrivileges(lostTags, lostNet)
			})
		case set["tags"] != "" && refusesTag(err):
			delete(set, "tags")
			lostTags = err
		case errors.Is(err, proxmox.Permission) && set["net0"] != "":
			delete(set, "net0")
			lostNet = err
		default:
			return c.stepFailed(fmt.Errorf("runner %s: configure VM %d: %w", a.name, a.vmid, err))
		}
	}
}

// freshlyOurs is the ownership rule for a VM that we have just cloned and no look has shown yet: its task ended well, so
// one that doesn't carry our marker has been changed since.
func freshlyOurs(a action, cfg proxmox.VMConfig) error {
	if m, err := runner.ParseMarker(cfg.Description); err != nil || m.VMID != a.vmid || m.Runner != a.name {
		return fmt.Errorf("runner %s: VM %d doesn't carry its marker; leave it alone", a.name, a.vmid)
	}
	return nil
}

// shape is the config of a runner's VM as far as it differs from the template's.
func (c *Controller) shape(a action, cfg proxmox.VMConfig) map[string]string {
	set := map[string]string{
		// A node that reboots must not bring half-done runners back, and a guest that reboots is no longer the fresh
		// VM that its job was promised: with reboot=0 QEMU ends instead.
		"onboot": "0",
		"reboot": "0",
	}
	if !a.noTags {
		set["tags"] = strings.Join(Tags(c.spec.Installation, a.pool.Name), ";")
	}
	if cfg.Protection {
		set["protection"] = "0" // inherited from the template; Proxmox would refuse to destroy the clone
	}
	if a.pool.Cores > 0 {
		set["cores"] = strconv.Itoa(a.pool.Cores)
	}
	if a.pool.Memory > 0 {
		set["memory"] = strconv.FormatInt(int64(a.pool.Memory/runner.MiB), 10)
	}
	if net0, ok := withMAC(cfg.Values["net0"], MAC(c.spec.Installation, a.vmid)); ok && !a.noMAC {
		set["net0"] = net0
	}
	return set
}

// refusesTag reports whether the datacenter's tag settings refuse a tag: "Sys.Modify for modifying tag 'x'"
// (pve-guest-common GuestHelpers.pm, assert_tag_permissions).
func refusesTag(err error) bool {
	var e *proxmox.Error
	return errors.As(err, &e) && e.Kind == proxmox.Permission && strings.Contains(e.Message, "for modifying tag ")
}

// lostPrivileges says once what the token may not do.
func (c *Controller) lostPrivileges(lostTags, lostNet error) {
	if lostTags != nil && !c.lostTags {
		c.lostTags = true
		c.log.Warn("tags not allowed", "reason", "the datacenter's tag settings refuse our tags; runners go without: allow mayfly tags in Datacenter, Options, User Tag Access")
	}
	if lostNet != nil && !c.lostNetwork {
		c.lostNetwork = true
		c.log.Warn("network not allowed", "reason", fmt.Sprintf("%v; runners keep random MAC addresses, so each takes a DHCP lease of its own", lostNet))
	}
}

// stepFailed is the outcome of a failed call: tried again when it may pass, given up otherwise.
func (c *Controller) stepFailed(err error) outcome {
	if passing(err) || errors.Is(err, proxmox.NotFound) { // gone or moved: the next look tells
		return c.again(err)
	}
	return c.giveUp(err)
}

// claimed gives the marker of a VM that is provably ours by the config just read; else the outcome, which is the runner's end.
func (c *Controller) claimed(cfg proxmox.VMConfig, a action) (runner.Marker, outcome) {
	marker, err := Claim(c.fixed, a.vmid, cfg, a.inPool)
	if err != nil {
		return marker, c.disowned(cfg, fmt.Errorf("runner %s: VM %d isn't provably ours (%w); leave it alone", a.name, a.vmid, err))
	}
	return marker, nil
}

// disowned drops a runner whose VM isn't provably ours any more. The VM stays, unclaimed, and so does its VMID.
func (c *Controller) disowned(cfg proxmox.VMConfig, err error) outcome {
	return c.shown(cfg, func(e *entry, now time.Time) {
		c.log.Error("runner disowned", "runner", e.name, "vmid", e.vmid, "node", e.node, "pool", e.pool, "reason", err)
		c.hold(e, err.Error(), now)
		c.forget(e, now)
	})
}

// shown has the next look know the config that decided a runner's end: by an older one it would take the VM up again.
func (c *Controller) shown(cfg proxmox.VMConfig, apply outcome) outcome {
	read := time.Now()
	return func(e *entry, now time.Time) {
		c.configs[e.vmid] = cachedConfig{cfg: cfg, read: read}
		apply(e, now)
	}
}
