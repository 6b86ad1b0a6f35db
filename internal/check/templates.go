package check

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// template is what pools are cloned from.
type template struct {
	base  string // the name of a template, or "image NAME"
	found bool
	id    int
	lock  string
	cfg   proxmox.VMConfig
	image *runner.Image // nil for one that was made by other means
	full  bool          // all of its pools make full copies
	err   error         // its config can't be read
}

func (t template) String() string { return fmt.Sprintf("template %s (VM %d)", t.base, t.id) }

// drive is a disk or a CD-ROM of a template.
type drive struct{ key, storage, volume string }

var driveKey = regexp.MustCompile(`^(ide|sata|scsi|virtio|efidisk|tpmstate)[0-9]+$`)

// drives lists disks or CD-ROM drives, by their keys.
func (t template) drives(cdrom bool) []drive {
	var list []drive
	for _, key := range slices.Sorted(maps.Keys(t.cfg.Values)) {
		value := t.cfg.Values[key]
		if !driveKey.MatchString(key) || slices.Contains(strings.Split(value, ","), "media=cdrom") != cdrom {
			continue
		}
		volume, _, _ := strings.Cut(value, ",")
		storage, _, _ := strings.Cut(volume, ":")
		list = append(list, drive{key, storage, volume})
	}
	return list
}

func (t template) disks() []drive { return t.drives(false) }

// card is what a network card is on: a bridge, and a VLAN there or "".
type card struct{ bridge, vlan string }

func (t template) cards() []card {
	var list []card
	for _, key := range slices.Sorted(maps.Keys(t.cfg.Values)) {
		if !strings.HasPrefix(key, "net") {
			continue
		}
		var c card
		for part := range strings.SplitSeq(t.cfg.Values[key], ",") {
			if b, ok := strings.CutPrefix(part, "bridge="); ok {
				c.bridge = b
			}
			if v, ok := strings.CutPrefix(part, "tag="); ok {
				c.vlan = v
			}
		}
		if c.bridge != "" {
			list = append(list, c)
		}
	}
	return list
}

// bridges are those of its network cards.
func (t template) bridges() []string {
	var list []string
	for _, c := range t.cards() {
		list = appendNew(list, c.bridge)
	}
	return list
}

// findTemplates looks for what each pool is cloned from, on the node, and reads its config.
func (c *checker) findTemplates(ctx context.Context) {
	if !c.wants(Run) || c.resources == nil {
		return
	}
	for _, pool := range c.Config.Pools {
		at := slices.IndexFunc(c.templates, func(t template) bool { return t.base == pool.Base() })
		if at >= 0 {
			c.templates[at].full = c.templates[at].full && pool.FullClone
			continue
		}
		t := template{base: pool.Base(), full: pool.FullClone}
		for _, r := range c.resources {
			if r.Type == "qemu" && r.Template && r.Node == c.Config.Proxmox.Node {
				c.consider(ctx, &t, pool, r)
			}
		}
		c.templates = append(c.templates, t)
	}
}

// consider takes a template of the node for the pool's where it is: the one of its name, or the newest promoted version of its
// image.
func (c *checker) consider(ctx context.Context, t *template, pool runner.Pool, r proxmox.Resource) {
	if pool.Image == "" {
		if r.Name != pool.Template {
			return
		}
	} else if !slices.Contains(r.Tags, runner.TagImage) || !slices.Contains(r.Tags, runner.TagPromoted) {
		return
	}
	cfg, err := c.Proxmox.VMConfig(ctx, r.Node, r.VMID)
	image, noImage := runner.ParseImage(cfg.Description)
	if pool.Image != "" {
		if err != nil || noImage != nil || image.Name != pool.Image || t.image != nil && runner.CompareVersions(image.Version, t.image.Version) <= 0 {
			return
		}
	}
	t.found, t.id, t.lock, t.cfg, t.err, t.image = true, r.VMID, r.Lock, cfg, err, nil
	if noImage == nil && image.VMID == r.VMID {
		t.image = &image
	}
}

// lookAtTemplates judges each template.
func (c *checker) lookAtTemplates(context.Context) {
	for _, t := range c.templates {
		before := len(c.findings)
		switch {
		case !t.found:
			c.missing(t)
			continue
		case t.err != nil:
			c.tell("template", Error, t.String(), t.err.Error(), fmt.Sprintf("on the node: qm config %d", t.id))
			continue
		}
		c.settings(t)
		c.linked(t)
		c.sizes(t)
		c.contents(t)
		if len(c.findings) == before {
			c.ok("template", t.String(), "can be cloned, started and destroyed")
		}
	}
}

func (c *checker) missing(t template) {
	node := c.Config.Proxmox.Node
	if name, ok := strings.CutPrefix(t.base, "image "); ok {
		c.tell("template-missing", Error, t.base, "has no promoted version on node "+node+", as far as this token sees",
			fmt.Sprintf("mayfly image build %s (or, where mayfly image list shows one: mayfly image promote %s)", name, name))
		return
	}
	pool := c.Config.Image.ResourcePool
	if pool == "" {
		pool = "ci-templates"
	}
	c.tell("template-missing", Error, "template "+t.base, "isn't on node "+node+", as far as this token sees",
		fmt.Sprintf("where qm list on %s shows it, with its VMID: pveum pool modify %s --vms VMID; else mayfly image build debian-12 and image: debian-12 in the pool", node, pool))
}

// settings are those that clones inherit.
func (c *checker) settings(t template) {
	v := t.cfg.Values
	tell := func(level Level, reason, set string) {
		f := c.mend("template-settings", level, t.String(), reason, c.Config.Proxmox.Node, fmt.Sprintf("qm set %d %s", t.id, set))
		if ours(c.Config, t.id, t.cfg) {
			f.Change = &Change{Node: c.Config.Proxmox.Node, VMID: t.id, Set: options(set), digest: t.cfg.Digest}
		}
	}
	if !t.cfg.AgentEnabled {
		level := Warning
		if c.Config.Handoff == config.HandoffAgent {
			level = Error
		}
		tell(level, "has no guest agent, which has to be there when a VM starts", "--agent enabled=1")
	}
	if t.cfg.Protection {
		tell(Warning, "is protected; clones inherit it, and Mayfly has to take it from each before it may destroy it", "--protection 0")
	}
	if v["onboot"] == "1" {
		tell(Warning, "starts with its node; a clone that isn't set up yet would, too", "--onboot 0")
	}
	if t.lock != "" {
		c.tell("template-lock", Warning, t.String(), "is locked ("+t.lock+"): it can't be cloned until the lock goes",
			fmt.Sprintf("wait for the backup or task; where none runs, on the node: qm unlock %d", t.id))
	}
	c.boot(t, tell)
	c.bus(t, tell)
	c.drive(t)
	for _, d := range t.drives(true) {
		if d.volume != "none" && !strings.Contains(d.volume, "cloudinit") {
			tell(Warning, fmt.Sprintf("has %s in drive %s: no clone starts once that file is gone", d.volume, d.key), "--"+d.key+" none,media=cdrom")
		}
	}
}

// boot looks whether the first thing to boot from is a disk.
func (c *checker) boot(t template, tell func(Level, string, string)) {
	disks := t.disks()
	if len(disks) == 0 {
		c.tell("template-settings", Error, t.String(), "has no disk", "mayfly image build debian-12, or make it anew: PROXMOX_SETUP.md, section 6")
		return
	}
	bootable := slices.DeleteFunc(slices.Clone(disks), func(d drive) bool {
		return strings.HasPrefix(d.key, "efidisk") || strings.HasPrefix(d.key, "tpmstate")
	})
	order, set := strings.CutPrefix(t.cfg.Values["boot"], "order=")
	if !set || len(bootable) == 0 {
		return // Proxmox's default begins with the disk
	}
	first, _, _ := strings.Cut(order, ";")
	if !slices.ContainsFunc(bootable, func(d drive) bool { return d.key == first }) {
		tell(Warning, fmt.Sprintf("boots from %q first, not from its disk: each start waits for that to fail", first), "--boot order="+bootable[0].key)
	}
}

// bus looks whether disks are on a bus that the guest's drivers are fast on.
func (c *checker) bus(t template, tell func(Level, string, string)) {
	for _, d := range t.disks() {
		switch {
		case strings.HasPrefix(d.key, "ide"), strings.HasPrefix(d.key, "sata"):
			c.tell("template-settings", Warning, t.String(), "has its disk on "+d.key+", an emulated bus: jobs wait for it", "mayfly image build debian-12, or make it anew with scsi0: PROXMOX_SETUP.md, section 6")
		case strings.HasPrefix(d.key, "scsi") && !strings.HasPrefix(t.cfg.Values["scsihw"], "virtio-scsi"):
			// Without scsihw Proxmox emulates an LSI 53C895A (qemu-server, qm.conf), which cloud kernels have no driver for.
			tell(Warning, "has its disk on an emulated SCSI controller: jobs wait for it, and some kernels don't find it", "--scsihw virtio-scsi-single")
			return
		}
	}
}

// thick are the types of storage without linked clones (PROXMOX_SETUP.md, section 2).
var thick = []string{"lvm", "iscsi", "iscsidirect"}

// linked looks whether linked clones are possible where pools want them.
func (c *checker) linked(t template) {
	if t.full {
		return
	}
	storages := c.storages[c.Config.Proxmox.Node]
	for _, d := range t.disks() {
		at := slices.IndexFunc(storages, func(s proxmox.Storage) bool { return s.Name == d.storage })
		if at >= 0 && slices.Contains(thick, storages[at].Type) {
			c.tell("template-linked-clone", Error, t.String(), fmt.Sprintf("has disk %s on storage %s of type %s, which has no linked clones", d.key, d.storage, storages[at].Type),
				"set full_clone: true for its pools, or build it on another storage (LVM-thin, ZFS, a directory, Ceph RBD)")
			return
		}
	}
}

// sizes looks whether the clones can have the disks that pools ask for.
func (c *checker) sizes(t template) {
	for _, pool := range c.Config.Pools {
		if pool.Base() != t.base {
			continue
		}
		if words := fleet.DiskProblem(pool, t.id, t.cfg); words != "" {
			c.tell("template-disk", Warning, t.String(), words, "take disk out of pool "+pool.Name+", or set it to more than the template's")
		}
	}
}

// The ages of a release of the Actions runner: GitHub gives a release no more jobs 30 days after the next one is out.
const (
	releaseWarns  = 15 * 24 * time.Hour
	releaseAlarms = 25 * 24 * time.Hour
)

// contents judges what the marker of an image tells. A template that was made by other means tells it when its first clone is up.
func (c *checker) contents(t template) {
	if t.image == nil {
		return
	}
	i := t.image
	if i.Contract < handoff.OldestContract || i.Contract > handoff.Contract {
		c.tell("template-contract", Error, t.String(), fmt.Sprintf("keeps run-once contract %d, this Mayfly speaks %d to %d", i.Contract, handoff.OldestContract, handoff.Contract),
			"mayfly image build "+i.Name)
	}
}

// runnerReleases judges the age of the Actions runner in each image. The release that GitHub wants now can't be too old, however
// long it has been out; of GitHub that wasn't reached nothing is known.
func (c *checker) runnerReleases() {
	for _, t := range c.templates {
		if t.image == nil || t.image.RunnerReleased.IsZero() {
			continue
		}
		const id = "template-runner-release"
		i, age := t.image, time.Since(t.image.RunnerReleased)
		words := fmt.Sprintf("holds Actions runner %s, released %d days ago", i.RunnerVersion, int(age.Hours()/24))
		level := Warning
		switch {
		case i.RunnerVersion == c.latest:
			c.ok(id, t.String(), words+", GitHub's latest")
			continue
		case age < releaseWarns:
			c.ok(id, t.String(), words)
			continue
		case age >= releaseAlarms:
			level = Error
		}
		c.tell(id, level, t.String(), words+"; GitHub gives a release no more jobs 30 days after the next one is out", "mayfly image build "+i.Name)
	}
}
