package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/proxmox"
)

// node asks which node runners live on.
func (w *wizard) node(ctx context.Context) error {
	nodes, err := w.pve.Nodes(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(nodes, func(a, b proxmox.Node) int { return strings.Compare(a.Name, b.Name) })
	q := question{
		key: "proxmox.node", flag: "--node", ask: "Node for the runners",
		check: func(ctx context.Context, text string) (string, error) { return w.checkNode(ctx, nodes, text) },
	}
	for _, n := range nodes {
		about := n.Status
		if n.MaxMem > 0 {
			about += fmt.Sprintf(", %d cores, %s of %s memory free", n.MaxCPU, n.MaxMem-n.Mem, n.MaxMem)
		}
		q.offers = append(q.offers, offer{n.Name, about})
		if n.Status == "online" && q.def == "" {
			q.def, q.why = n.Name, "the first that is online"
			if len(nodes) == 1 {
				q.why = "the only one"
			}
		}
	}
	value, from, err := w.ask(ctx, q)
	if err != nil {
		return err
	}
	w.node0 = value
	w.put("proxmox.node", value, from)
	w.resources, err = w.pve.Resources(ctx)
	return err
}

// checkNode looks whether a node is there, is online, and lists its storages.
func (w *wizard) checkNode(ctx context.Context, nodes []proxmox.Node, text string) (string, error) {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
		if !strings.EqualFold(n.Name, text) {
			continue
		}
		if n.Status != "online" {
			return "", fmt.Errorf("node %s is %s; want one that is online (on a node: pvecm status)", n.Name, n.Status)
		}
		storages, err := w.pve.Storages(ctx, n.Name)
		w.storages = storages
		return n.Name, err
	}
	return "", fmt.Errorf("the cluster has no such node; want one of %s", strings.Join(names, ", "))
}

// none is how people say that they want nothing of what is offered.
const none = "-"

// resourcePool asks for the resource pool of the runners.
func (w *wizard) resourcePool(ctx context.Context) error {
	return w.askPool(ctx, "proxmox.resource_pool", "--resource-pool", "Resource pool for the runners", "VM.Allocate", "ci")
}

// askPool asks for a resource pool: one that the token sees and best one that it has the privilege in.
func (w *wizard) askPool(ctx context.Context, key, flag, ask, privilege, usual string) error {
	q := question{key: key, flag: flag, ask: ask + " (" + none + " for none)"}
	for _, name := range w.pools() {
		about := ""
		if _, may := w.granted["/pool/"+name][privilege]; may {
			about = "the token may make VMs in it"
			if q.def == "" || name == usual {
				q.def, q.why = name, "the token may make VMs in it"
			}
		}
		q.offers = append(q.offers, offer{name, about})
	}
	if q.def == "" {
		q.def, q.why = none, "none was chosen"
	}
	q.check = func(ctx context.Context, text string) (string, error) {
		if text == none || strings.EqualFold(text, "none") {
			return none, nil
		}
		if err := config.CheckValue(key, text); err != nil {
			return "", err
		}
		_, err := w.pve.ResourcePool(ctx, text)
		if errors.Is(err, proxmox.NotFound) {
			return "", fmt.Errorf("there is no resource pool of that name; make it (on a node: pveum pool add %s), or take one of %s", text, strings.Join(append(w.pools(), none), ", "))
		}
		return text, err
	}
	value, from, err := w.ask(ctx, q)
	if err != nil {
		return err
	}
	if value == none {
		w.put(key, "", "")
		w.con.say("  Without one the token needs its privileges on every VM; PROXMOX_SETUP.md, section 4.")
		return nil
	}
	w.put(key, value, from)
	return nil
}

// pools are the resource pools that the token sees, or has something granted in.
func (w *wizard) pools() []string {
	var list []string
	for _, r := range w.resources {
		if r.Type == "pool" && r.Pool != "" && !slices.Contains(list, r.Pool) {
			list = append(list, r.Pool)
		}
	}
	for path := range w.granted {
		if name, ok := strings.CutPrefix(path, "/pool/"); ok && name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}
