package fleet

import (
	"fmt"
	"strings"

	"mayfly/internal/proxmox"
)

// Way is how identities get into guests.
type Way string

// The ways.
const (
	// WayAgent gives a guest that is up its identity through the guest agent.
	WayAgent Way = "agent"
	// WayISO gives a VM its identity before it starts, on an uploaded medium that it reads itself.
	WayISO Way = "iso"
	// WaySnippet gives a VM its identity before it starts, in user-data that Proxmox copies.
	WaySnippet Way = "snippet"
	// WayAuto is the first of WayAgent, WayISO and WaySnippet that the template, the cluster and the token allow.
	WayAuto Way = "auto"
)

// seeds reports whether runners of the template get their identity before they start, and by which way.
func (s Spec) seeds(t *template) (Way, bool) {
	way := s.Way
	if way == WayAuto {
		way = t.way
	}
	return way, way.seeds()
}

func (w Way) seeds() bool { return w == WayISO || w == WaySnippet }

// choose finds the way for a template's runners: which, why, and what is in the way of it; "" when nothing is.
func (s Spec) choose(name string, t template, seeders map[Way]Seeder, m means) (way Way, why, problem string) {
	where := fmt.Sprintf("template %q (VM %d)", name, t.id)
	obstacles := map[Way]string{}
	for _, way := range []Way{WayAgent, WayISO, WaySnippet} {
		obstacles[way] = obstacle(way, t, seeders, m)
	}
	if s.Way != WayAuto {
		if o := obstacles[s.Way]; o != "" {
			problem = where + ": " + o
		}
		return s.Way, "the configuration says so", problem
	}
	if obstacles[WayAgent] == "" {
		return WayAgent, "the template's guest agent is on and the token may use it", ""
	}
	var refused []string
	for _, way := range []Way{WayAgent, WayISO, WaySnippet} {
		if obstacles[way] == "" {
			return way, strings.Join(refused, "; "), ""
		}
		refused = append(refused, fmt.Sprintf("%s: %s", way, obstacles[way]))
	}
	return "", "", where + ": no hand-off works: " + strings.Join(refused, "; ")
}

// ChooseWay tells by which way the runners of a template get their identity and why, or what is in the way. It is the rule that the
// controller goes by, for a look beforehand: granted are the token's privileges by path, storages the node's.
func (s Spec) ChooseWay(name string, vmid int, cfg proxmox.VMConfig, seeders map[Way]Seeder, granted map[string]map[string]bool, storages []proxmox.Storage) (way Way, why, problem string) {
	return s.choose(name, template{id: vmid, cfg: cfg}, seeders, s.judge(granted, storages))
}

// obstacle says what is in the way of a way; "" when nothing is.
func obstacle(way Way, t template, seeders map[Way]Seeder, m means) string {
	switch {
	case way == WayAgent && !t.cfg.AgentEnabled:
		return fmt.Sprintf("the template's guest agent is off; run: qm set %d --agent enabled=1", t.id)
	case way == WayAgent:
		return m.agent
	case seeders[way] == nil && way == WaySnippet:
		return "no SNIPPETS_DIR is set"
	case seeders[way] == nil:
		return "not set up"
	}
	if err := seeders[way].CheckVM(t.cfg.Values); err != nil {
		return err.Error()
	}
	if way == WayISO {
		return m.iso
	}
	return ""
}

// sayWay tells once for each template which way its runners get their identity, and why.
func (c *Controller) sayWay(o supply) {
	if c.spec.Way != WayAuto {
		return
	}
	for _, name := range sortedKeys(o.templates) {
		t := o.templates[name]
		if t.id == 0 || t.problem != "" {
			continue
		}
		if key := "way " + name + string(t.way); !c.saidOnce[key] {
			c.saidOnce[key] = true
			c.log.Info("handoff chosen", "template", name, "handoff", t.way, "reason", t.why)
		}
	}
}
