package setup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/image"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// found is a template on the node.
type found struct {
	name  string
	vmid  int
	may   bool   // whether the token may clone it
	image string // of which it is a promoted version; "" for none
	cfg   proxmox.VMConfig
}

// templates reads those of the node that the token sees.
func (w *wizard) templates(ctx context.Context) ([]found, error) {
	var list []found
	for _, r := range w.resources {
		if r.Type != "qemu" || !r.Template || r.Node != w.node0 {
			continue
		}
		f := found{name: r.Name, vmid: r.VMID, may: w.mayClone(r)}
		cfg, err := w.pve.VMConfig(ctx, r.Node, r.VMID)
		if err != nil {
			return nil, err
		}
		f.cfg = cfg
		if i, err := runner.ParseImage(cfg.Description); err == nil && i.VMID == r.VMID {
			if !slices.Contains(r.Tags, runner.TagPromoted) {
				continue // an older version, or one that a check hasn't passed yet
			}
			f.image = i.Name
			list = slices.DeleteFunc(list, func(other found) bool { return other.image == i.Name && other.vmid < r.VMID })
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b found) int { return a.vmid - b.vmid })
	return list, nil
}

// mayClone reports whether the token has VM.Clone on a template: by itself, by its resource pool or for all VMs.
func (w *wizard) mayClone(r proxmox.Resource) bool {
	for _, on := range []string{fmt.Sprintf("/vms/%d", r.VMID), "/pool/" + r.Pool, "/vms", "/"} {
		if _, may := w.granted[on]["VM.Clone"]; may {
			return true
		}
	}
	return false
}

const (
	templateKey, imageKey = "pools[0].template", "pools[0].image"
	// newImage is offered to be built where there is no template yet.
	newImage = "ubuntu-24.04"
)

// template asks what runners are cloned from: a template, or an image of Mayfly's, which may have to be built.
func (w *wizard) template(ctx context.Context) error {
	there, err := w.templates(ctx)
	if err != nil {
		return err
	}
	w.oneQuestion()
	q := question{key: templateKey, flag: "--template or --image", ask: "Template, or image to build"}
	q.def, q.why = newImage, "the newest image that can be built"
	for _, f := range there {
		kind, about := "template", ""
		if f.image != "" {
			kind = "image"
		}
		switch {
		case !f.may:
			about = "; no VM.Clone on it"
		case q.def == newImage:
			q.def, q.why = cmp.Or(f.image, f.name), "the first on the node that the token may clone"
		}
		q.offers = append(q.offers, offer{cmp.Or(f.image, f.name), fmt.Sprintf("%s, VM %d on %s%s", kind, f.vmid, w.node0, about)})
	}
	for _, name := range image.Known() {
		if !slices.ContainsFunc(there, func(f found) bool { return f.image == name }) {
			q.offers = append(q.offers, offer{name, "image, to be built"})
		}
	}
	q.check = func(_ context.Context, text string) (string, error) { return w.checkTemplate(there, text) }
	value, from, err := w.ask(ctx, q)
	if err != nil {
		return err
	}
	w.takeTemplate(there, value, from)
	return nil
}

// oneQuestion makes one answer of the two keys that may hold it.
func (w *wizard) oneQuestion() {
	for _, m := range []map[string]config.Setting{w.given, w.before} {
		if s, ok := m[imageKey]; ok {
			if _, both := m[templateKey]; !both {
				m[templateKey] = config.Setting{Path: templateKey, Value: s.Value, Origin: s.Origin}
			}
		}
	}
}

// checkTemplate accepts a template's name, or an image's.
func (w *wizard) checkTemplate(there []found, text string) (string, error) {
	var names []string
	for _, f := range there {
		if f.image == "" && f.name == text {
			return text, nil
		}
		names = append(names, cmp.Or(f.image, f.name))
	}
	name, err := image.Name(text)
	if err == nil && (slices.Contains(image.Known(), name) || slices.ContainsFunc(there, func(f found) bool { return f.image == name })) {
		return name, nil
	}
	seen := "it sees none"
	if len(names) > 0 {
		seen = "it sees " + strings.Join(names, ", ")
	}
	return "", fmt.Errorf("neither a template on node %s that this token sees (%s), nor an image that can be built (%s); a template that is there is made visible on a node: pveum pool modify ci-templates --vms VMID",
		w.node0, seen, strings.Join(image.Known(), ", "))
}

// thick are the types of storage without linked clones (PROXMOX_SETUP.md, section 2).
var thick = []string{"lvm", "iscsi", "iscsidirect"}

// takeTemplate notes a template or an image, and what follows from it.
func (w *wizard) takeTemplate(there []found, value, from string) {
	w.build = ""
	for _, f := range there {
		if f.image != "" && f.image == value || f.image == "" && f.name == value {
			if f.image != "" {
				w.put(imageKey, value, from)
			} else {
				w.put(templateKey, value, from)
			}
			w.con.say("  ok: VM %d, disk on %s, network on %s", f.vmid, f.storage(), f.bridge())
			if s := w.storage(f.storage()); s != nil && slices.Contains(thick, s.Type) {
				w.put("pools[0].full_clone", "true", "storage "+s.Name+" has no linked clones")
				w.con.say("  Storage %s of type %s has no linked clones: full_clone is set, which is slow.", s.Name, s.Type)
			}
			w.roomFor(f.cfg)
			return
		}
	}
	w.build = value
	w.put(imageKey, value, from)
	w.con.say("  It will be built: mayfly image build %s", value)
}

// storage is one of the node's storages; nil where the token doesn't see it.
func (w *wizard) storage(name string) *proxmox.Storage {
	for i := range w.storages {
		if w.storages[i].Name == name {
			return &w.storages[i]
		}
	}
	return nil
}

// storage is where the first disk is.
func (f found) storage() string {
	for _, key := range []string{"scsi0", "virtio0", "sata0", "ide0"} {
		if storage, _, ok := strings.Cut(f.cfg.Values[key], ":"); ok {
			return storage
		}
	}
	return "no storage"
}

// bridge is where the first network card is.
func (f found) bridge() string {
	for part := range strings.SplitSeq(f.cfg.Values["net0"], ",") {
		if b, ok := strings.CutPrefix(part, "bridge="); ok {
			return b
		}
	}
	return "no bridge"
}

// roomFor says how many runners of a template the node's free memory has room for.
func (w *wizard) roomFor(cfg proxmox.VMConfig) {
	memory := runner.Bytes(0)
	if n, err := strconv.ParseInt(strings.TrimPrefix(cfg.Values["memory"], "current="), 10, 32); err == nil {
		memory = runner.Bytes(n) * runner.MiB
	}
	for _, r := range w.resources {
		if r.Type == "node" && r.Node == w.node0 && r.MaxMem > 0 && memory > 0 {
			w.room = fmt.Sprintf("%s has %s of memory free, a runner takes %s: room for %d", w.node0, r.MaxMem-r.Mem, memory, int64((r.MaxMem-r.Mem)/memory))
		}
	}
}
