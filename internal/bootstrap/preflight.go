package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// need is what the token must be allowed on a path. The roles are those of the guide.
type need struct {
	path, role string
	privileges []string
}

// needs are the privileges that making the container takes; any of a need's paths must have them.
func (s *Spec) needs() []need {
	c := s.Container
	guest := "/vms"
	if c.ResourcePool != "" {
		guest = "/pool/" + c.ResourcePool
	}
	return []need{
		{guest, "MayflyVM", []string{
			"VM.Allocate", "VM.Audit", "VM.PowerMgmt", "VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options",
		}},
		{"/storage/" + c.Storage, "MayflyDisk", []string{"Datastore.AllocateSpace"}},
		{"/storage/" + s.TemplateStorage, "MayflyISO", []string{"Datastore.AllocateTemplate", "Datastore.Audit", "Datastore.Allocate"}},
	}
}

// bridge refuses one that the node doesn't have, or that the token may not use.
func bridge(ctx context.Context, api *proxmox.Client, s *Spec) error {
	list, err := api.Bridges(ctx, s.Node)
	if err != nil {
		return fmt.Errorf("check bridge: %w", err)
	}
	name := s.Container.Bridge
	if slices.Contains(list, name) {
		return nil
	}
	others := "set CT_BRIDGE to one of its bridges"
	if len(list) > 0 {
		others += ": " + strings.Join(list, ", ")
	}
	path := "/sdn/zones/localnetwork/" + name
	return fmt.Errorf("check bridge: node %s has no bridge %s that token %s may use; %s, or, if it is there, let the token use it (SDN.Use on %s): %s",
		s.Node, name, s.TokenID, others, path, s.grant(path, "PVESDNUser"))
}

// allowed refuses a token that may not do all that is coming, before anything is done.
func allowed(ctx context.Context, api *proxmox.Client, s *Spec) error {
	var lacks []error
	for _, n := range s.needs() {
		may, err := api.PermissionsOn(ctx, n.path)
		if err != nil {
			return fmt.Errorf("check privileges: %w", err)
		}
		if strings.HasPrefix(n.path, "/pool/") { // what is granted on all guests does, too
			more, err := api.PermissionsOn(ctx, fmt.Sprintf("/vms/%d", s.Container.VMID))
			if err != nil {
				return fmt.Errorf("check privileges: %w", err)
			}
			for p := range more {
				may[p] = true
			}
		}
		lacking := slices.DeleteFunc(slices.Clone(n.privileges), func(p string) bool { return may[p] })
		if len(lacking) > 0 {
			lacks = append(lacks, fmt.Errorf("check privileges: token %s lacks %s on %s; on a node run: %s (PROXMOX_SETUP.md makes the role)",
				s.TokenID, strings.Join(lacking, ", "), n.path, s.grant(n.path, n.role)))
		}
	}
	return errors.Join(lacks...)
}

// grant is the command that gives the token, and its user, who must have it, too, a role on a path.
func (s *Spec) grant(path, role string) string {
	user, _, _ := strings.Cut(s.TokenID, "!")
	return fmt.Sprintf("pveum acl modify %s --users '%s' --tokens '%s' --roles %s", path, user, s.TokenID, role)
}

// firstDisk is about what Debian and Mayfly take on the container's disk; a thin storage gives the rest when it is needed.
const firstDisk = runner.GiB

// stores refuses storages that don't take what goes there, or lack the room.
func stores(ctx context.Context, api *proxmox.Client, s *Spec, archive runner.Bytes) error {
	list, err := api.Storages(ctx, s.Node)
	if err != nil {
		return fmt.Errorf("check storages: %w", err)
	}
	var wrong []error
	check := func(name, variable, content, all, one, role string, room runner.Bytes) {
		i := slices.IndexFunc(list, func(st proxmox.Storage) bool { return st.Name == name })
		var fit []string
		for _, st := range list {
			if slices.Contains(st.Content, content) && st.Enabled {
				fit = append(fit, st.Name)
			}
		}
		cure := fmt.Sprintf("set %s to one that does", variable)
		if len(fit) > 0 {
			cure += ": " + strings.Join(fit, ", ")
		}
		switch {
		case i < 0:
			wrong = append(wrong, fmt.Errorf("check storages: token %s sees no storage %s on node %s; %s, or, if it is there, let the token see it (Datastore.Audit on /storage/%s): %s",
				s.TokenID, name, s.Node, cure, name, s.grant("/storage/"+name, role)))
		case !slices.Contains(list[i].Content, content):
			wrong = append(wrong, fmt.Errorf("check storages: storage %s takes no %s (content %s); %s, or allow it: pvesm set %s --content %s",
				name, all, content, cure, name, strings.Join(append(slices.Clone(list[i].Content), content), ",")))
		case !list[i].Enabled || !list[i].Active:
			wrong = append(wrong, fmt.Errorf("check storages: storage %s is not active on node %s; mend it, or %s", name, s.Node, cure))
		case list[i].Avail < room:
			wrong = append(wrong, fmt.Errorf("check storages: storage %s has %s free on node %s, and %s takes %s; free space there, or %s",
				name, list[i].Avail, s.Node, one, room, cure))
		}
	}
	check(s.Container.Storage, "CT_STORAGE", "rootdir", "disks of containers", "the container at first", "MayflyDisk", firstDisk)
	check(s.TemplateStorage, "CT_TEMPLATE_STORAGE", "vztmpl", "container templates", "the prepared template", "MayflyISO", archive)
	return errors.Join(wrong...)
}
