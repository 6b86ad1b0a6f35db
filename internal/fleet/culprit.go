package fleet

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Kind of a thing that a cordon is about.
const (
	// ThingNode: VMs are made on it, or live there.
	ThingNode = "node"
	// ThingStorage: a storage, of one node or of all that share it.
	ThingStorage = "storage"
	// ThingTemplate: a template's copy, on the node where it is cloned or where its clones boot.
	ThingTemplate = "template"
)

// thing is what a runner needs and what may fail by itself.
type thing struct {
	kind string // ThingNode, ThingStorage or ThingTemplate
	node string // "" of a storage that nodes share
	name string // of a storage, or the template's VMID; "" of a node
}

func (t thing) compare(other thing) int {
	return cmp.Or(cmp.Compare(t.kind, other.kind), cmp.Compare(t.node, other.node), cmp.Compare(t.name, other.name))
}

// words name it for people where its node is known already.
func (t thing) words() string {
	if t.kind == ThingNode {
		return ""
	}
	return t.kind + " " + t.name + " is "
}

// ownThings is how many of a runner's things, first in its list, are its own node and its template there.
const ownThings = 2

// templateThing is the copy of a template that is on the node, or whose clones boot there.
func templateThing(node string, t *template) thing {
	return thing{kind: ThingTemplate, node: node, name: strconv.Itoa(t.id)}
}

// things lists what a runner on the node needs when it is cloned from that template to those storages. A template of
// another node is cloned by that one (qemu-server API2/Qemu.pm, clone_vm: "target").
func (o supply) things(node string, t *template, storages []string) []thing {
	list := []thing{{kind: ThingNode, node: node}, templateThing(node, t)}
	if source := cmp.Or(t.node, node); source != node {
		list = append(list, thing{kind: ThingNode, node: source}, templateThing(source, t))
	}
	for _, name := range storages {
		on := node
		if o.spaces[spaceKey(node, name, false)].shared {
			on = ""
		}
		list = append(list, thing{kind: ThingStorage, node: on, name: name})
	}
	return list
}

// needs are the things of a runner that there is. What it was cloned from may be unseen by now: its node is in trouble.
func (o supply) needs(s Spec, e *entry) []thing {
	pool, _ := s.poolOf(e)
	t := o.baseOf(e, pool)
	storages := o.vms[e.vmid].size.storages
	if len(storages) == 0 {
		storages = wants(pool, sizeOf(t.cfg)).storagesFor(pool)
	}
	return o.things(e.node, &template{id: cmp.Or(e.template, t.id), node: e.source}, storages)
}

// storagesFor are where the disks of the pool's runners go, of a template that has its own there.
func (s size) storagesFor(pool runner.Pool) []string {
	if pool.FullClone && pool.Storage != "" {
		return []string{pool.Storage}
	}
	return s.storages
}

var (
	// storageWords are those of storages that are full, away or broken (pve-storage: Storage.pm, Plugin.pm, LVMPlugin.pm; QEMU,
	// LVM, ZFS and the kernel).
	storageWords = regexp.MustCompile(`(?i)no space left|insufficient free space|out of space|not enough (?:free )?space|input/output error|\bi/o error|` +
		`\bio-error\b|read-only file system|^(?:.*: )?(?:\d+ )?storage '[^']*' (?:is|does not exist)|unable to activate storage|cfs-lock 'storage-|/pve-storage-|` +
		`thin pool .*(?:full|threshold)|stale file handle|transport endpoint is not connected`)
	// templateWords are those of a clone whose template isn't what it should be.
	templateWords = regexp.MustCompile(`(?i)no such (?:logical )?volume|failed to find logical volume|volume '[^']*' does not exist|could not open .*base-\d+|base-\d+-disk\S* .*(?:not found|does not exist)|` +
		`unable to parse volume|image is corrupt|not in qcow2 format|dataset does not exist`)
	// strangeNode are those of a node that the cluster doesn't know.
	strangeNode = regexp.MustCompile(`no such cluster node|hostname lookup '[^']*' failed|address lookup for '[^']*' did not find`)
)

// culprits are the kinds of things of which one is at fault when a runner failed of err in that stage; none where it is the
// token, the guest, GitHub or the request. A clone that fails of words that we don't know may be for its node or its template.
func culprits(err error, stage Stage) []string {
	is := func(kinds ...error) bool {
		return slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) })
	}
	text := err.Error()
	making := stage == StageClone || stage == StageConfigure || stage == StageStart
	switch {
	case is(proxmox.Unauthorized, proxmox.Permission, proxmox.Untrusted, proxmox.Exists) || !making || unasked(err):
		return nil
	case storageWords.MatchString(text):
		return []string{ThingStorage}
	case strangeNode.MatchString(text):
		return []string{ThingNode}
	case stage == StageClone && (templateWords.MatchString(text) || is(proxmox.NotFound, proxmox.Locked)):
		return []string{ThingTemplate}
	case stage == StageClone && is(proxmox.TaskFailed):
		return []string{ThingNode, ThingTemplate}
	case is(proxmox.TaskFailed, proxmox.Busy, proxmox.Locked, proxmox.Unavailable, proxmox.MaybeHappened, context.DeadlineExceeded):
		return []string{ThingNode}
	}
	return nil
}

// unasked reports whether Proxmox's API didn't answer at all, which says nothing of the node that it would have asked.
func unasked(err error) bool {
	var answer *proxmox.Error
	return errors.As(err, &answer) && answer.Status == 0 && (answer.Kind == proxmox.Unavailable || answer.Kind == proxmox.MaybeHappened)
}

// atFault picks, of what a runner needs, what its failure is about: a clone is the work of the node that has the template.
// Of storages it is those that the error names; where it names none, those of the node, or else all.
func atFault(err error, stage Stage, list []thing) []thing {
	var found []thing
	for _, kind := range culprits(err, stage) {
		of := slices.DeleteFunc(slices.Clone(list), func(t thing) bool { return t.kind != kind })
		switch {
		case kind == ThingStorage:
			found = append(found, blamed(of, err.Error())...)
		case stage == StageClone && len(of) > 0:
			found = append(found, of[len(of)-1])
		case len(of) > 0:
			found = append(found, of[0])
		}
	}
	return found
}

// blamed picks storages of a list.
func blamed(list []thing, text string) []thing {
	named := slices.DeleteFunc(slices.Clone(list), func(t thing) bool { return !names(text, t.name) })
	local := slices.DeleteFunc(slices.Clone(list), func(t thing) bool { return t.node == "" })
	for _, some := range [][]thing{named, local} {
		if len(some) > 0 {
			return some
		}
	}
	return list
}

// names reports whether a text has the storage's name as a word of its own, or in that of its lock.
func names(text, storage string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(` '":,;()/`, r) }), func(word string) bool {
		return strings.TrimPrefix(strings.TrimPrefix(word, "pve-"), "storage-") == storage || word == storage
	})
}
