package fleet

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"mayfly/internal/proxmox"
)

// Types of Proxmox's tasks.
const (
	typeClone   = "qmclone"
	typeStop    = "qmstop"
	typeDestroy = "qmdestroy"
)

// ownTask is a clone, stop or destroy in our range that somebody asked for, most likely this dispatcher before a restart.
type ownTask struct {
	upid  proxmox.UPID
	vmid  int
	since time.Time
}

func (t ownTask) destroys() bool { return t.upid.Type() == typeDestroy }

// addTasks adds the clones, stops and destroys that run, where since isn't zero.
func (g *gatherer) addTasks(ctx context.Context, o *supply, since time.Time) error {
	if since.IsZero() {
		return nil
	}
	tasks, unsure, err := g.ownTasks(ctx, since)
	for _, t := range tasks {
		list := &o.tasks
		if t.upid.Type() == typeStop {
			list = &o.stops
		}
		if !slices.ContainsFunc(*list, func(known ownTask) bool { return known.upid == t.upid }) {
			*list = append(*list, t)
		}
	}
	o.unsure = o.unsure || unsure
	return err
}

// cloneLine is the first line of a clone task's log: the only place that names the new VM (facts: (e) 1).
var cloneLine = regexp.MustCompile(`creating a clone of VM \d+ with ID (\d+)`)

// clonedTo reads the new VMID out of that line.
func clonedTo(line string) (vmid int, ok bool) {
	m := cloneLine.FindStringSubmatch(line)
	if len(m) != 2 {
		return 0, false
	}
	vmid, err := strconv.Atoi(m[1])
	return vmid, err == nil
}

// ownTasks finds the clones, stops and destroys in our range that still run. unsure says that there is a clone whose VMID its
// log doesn't tell yet.
func (g *gatherer) ownTasks(ctx context.Context, since time.Time) (found []ownTask, unsure bool, err error) {
	nodes, err := g.scanned(ctx)
	if err != nil {
		return nil, false, err
	}
	var tasks []proxmox.Task
	for _, name := range nodes {
		list, err := g.pve.Tasks(ctx, name, proxmox.TaskFilter{Since: g.pve.NodeTime(since), Source: "all", Limit: taskLimit})
		if err != nil {
			return nil, false, err
		}
		tasks = append(tasks, list...)
	}
	for _, t := range tasks {
		if !t.Running || g.spec.Token != "" && t.UPID.User() != g.spec.Token {
			continue
		}
		vmid, known := 0, false
		switch t.Type {
		default:
			continue
		case typeDestroy, typeStop:
			vmid, err = strconv.Atoi(t.ID)
			known = err == nil
		case typeClone:
			lines, err := g.pve.TaskLog(ctx, t.UPID, 0, 1)
			if errors.Is(err, proxmox.Permission) {
				continue // another token's
			}
			if err != nil {
				return nil, false, err
			}
			if len(lines) > 0 {
				vmid, known = clonedTo(lines[0])
			}
			unsure = unsure || !known
		}
		if known && g.spec.VMIDs.Contains(vmid) {
			found = append(found, ownTask{upid: t.UPID, vmid: vmid, since: t.Start})
		}
	}
	return found, unsure, nil
}
