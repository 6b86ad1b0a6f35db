package pve

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Datacenter are settings of the cluster as a whole, which only its administrator changes. The zero value is Proxmox's default: any
// tag, no firewall, no backup jobs.
type Datacenter struct {
	// UserAllow is user-tag-access: which tags users may set, "free", "existing", "list" or "none"; "" is free. UserAllowList are
	// those that "list" and "existing" allow.
	UserAllow     string
	UserAllowList []string
	// RegisteredTags are tags that take Sys.Modify on "/".
	RegisteredTags []string
	// Firewall turns the firewall on.
	Firewall bool
	// Backups are the backup jobs. They are only listed; none ever runs.
	Backups []BackupJob
}

// BackupJob is a job of Datacenter, Backup. Pool, VMIDs or All say what it saves, the first that is set (pve-manager PVE/VZDump.pm,
// get_included_guests).
type BackupJob struct {
	ID       string
	Disabled bool
	Pool     string
	VMIDs    []int
	All      bool
	Exclude  []int
	Node     string // "" for all
}

// clusterOptions is GET /cluster/options: all of datacenter.cfg with Sys.Audit on "/", else only what interfaces need.
func (s *Server) clusterOptions(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	out := map[string]any{"allowed-tags": s.allowedTags(q.token)}
	if !s.may(q.token, "/", "Sys.Audit") {
		return out, nil
	}
	maps.Copy(out, map[string]any{"keyboard": "en-us", "mac_prefix": "BC:24:11", "description": ""})
	d := s.opts.Datacenter
	if d.UserAllow != "" || len(d.UserAllowList) > 0 {
		access := map[string]any{}
		if d.UserAllow != "" {
			access["user-allow"] = d.UserAllow
		}
		if len(d.UserAllowList) > 0 {
			access["user-allow-list"] = d.UserAllowList
		}
		out["user-tag-access"] = access
	}
	if len(d.RegisteredTags) > 0 {
		out["registered-tags"] = d.RegisteredTags
	}
	return out, nil
}

// allowedTags are those that interfaces offer a user: the list, those of the VMs that he sees, and registered ones only to who may
// set them (pve-guest-common GuestHelpers.pm, get_allowed_tags).
func (s *Server) allowedTags(t *token) []string {
	d := s.opts.Datacenter
	tags := map[string]bool{}
	if d.UserAllow != "none" {
		for _, tag := range d.UserAllowList {
			tags[tag] = true
		}
	}
	if d.UserAllow != "none" && d.UserAllow != "list" {
		maps.Copy(tags, s.tagsSeen(t))
	}
	privileged := s.may(t, "/", "Sys.Modify")
	for _, tag := range d.RegisteredTags {
		if privileged {
			tags[tag] = true
		} else {
			delete(tags, tag)
		}
	}
	list := slices.Sorted(maps.Keys(tags))
	if list == nil {
		return []string{}
	}
	return list
}

// tagsSeen are the tags of the guests that a token may audit.
func (s *Server) tagsSeen(t *token) map[string]bool {
	tags := map[string]bool{}
	note := func(id int, conf map[string]string) {
		if s.may(t, "/vms/"+strconv.Itoa(id), "VM.Audit") {
			for _, tag := range splitList(conf["tags"]) {
				tags[tag] = true
			}
		}
	}
	for id, v := range s.vms {
		note(id, v.conf)
	}
	for id, ct := range s.containers {
		note(id, ct.conf)
	}
	return tags
}

// mayTag demands VM.Config.Options on the guest itself, also while it is being made in a pool (recorded), and what the datacenter
// wants of each tag that comes or goes (GuestHelpers.pm, assert_tag_permissions).
func (s *Server) mayTag(t *token, vmid int, old, now string) *apiError {
	if err := s.require(t, fmt.Sprintf("/vms/%d", vmid), "VM.Config.Options"); err != nil {
		return err
	}
	if s.may(t, "/", "Sys.Modify") {
		return nil
	}
	d := s.opts.Datacenter
	had, has := splitList(old), splitList(now)
	allowed := s.allowedTags(t)
	for _, tag := range slices.Concat(had, has) {
		if slices.Contains(had, tag) && slices.Contains(has, tag) || slices.Contains(allowed, tag) {
			continue
		}
		if free := d.UserAllow == "" || d.UserAllow == "free"; !free || slices.Contains(d.RegisteredTags, tag) {
			return forbidden("/, Sys.Modify for modifying tag '%s'", tag)
		}
	}
	return nil
}

// backupJobs is GET /cluster/backup.
func (s *Server) backupJobs(*call) (any, error) {
	out := []any{}
	for _, job := range s.opts.Datacenter.Backups {
		e := map[string]any{"id": job.ID, "type": "vzdump", "enabled": flagOf(!job.Disabled), "schedule": "02:00", "mode": "snapshot", "storage": storageFiles}
		if job.Pool != "" {
			e["pool"] = job.Pool
		}
		if len(job.VMIDs) > 0 {
			e["vmid"] = joinNumbers(job.VMIDs)
		}
		if job.All {
			e["all"] = 1
		}
		if len(job.Exclude) > 0 {
			e["exclude"] = joinNumbers(job.Exclude)
		}
		if job.Node != "" {
			e["node"] = job.Node
		}
		out = append(out, e)
	}
	return out, nil
}

func joinNumbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}

// firewallOptions is GET /cluster/firewall/options.
func (s *Server) firewallOptions(*call) (any, error) {
	out := map[string]any{"digest": emptyDigest}
	if s.opts.Datacenter.Firewall {
		out["enable"] = 1
	}
	return out, nil
}

// emptyDigest is the SHA-1 of an empty file, which Proxmox gives for one that isn't there.
const emptyDigest = "da39a3ee5e6b4b0d3255bfef95601890afd80709"

// vmFirewallOptions is GET /nodes/{node}/qemu/{vmid}/firewall/options. Clones have their template's.
func (s *Server) vmFirewallOptions(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	v, err := s.vmOn(q.node.name, q.vmid())
	if err != nil {
		return nil, err
	}
	out := map[string]any{"digest": emptyDigest}
	if of := s.vms[v.source]; v.template() || of != nil && of.template() {
		for key, value := range s.opts.TemplateFirewall {
			if n, err := strconv.Atoi(value); err == nil {
				out[key] = n
			} else {
				out[key] = value
			}
		}
	}
	return out, nil
}

// nodeNetwork is GET /nodes/{node}/network: each node has the one bridge on one network card. Everybody may ask; a bridge shows to
// those who may look at or use it (pve-manager PVE/API2/Network.pm, index).
func (s *Server) nodeNetwork(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	out, kind := []any{}, q.params.str("type")
	if kind == "" || kind == "eth" {
		out = append(out, map[string]any{
			"iface": "eno1", "type": "eth", "active": 1, "exists": 1, "method": "manual", "method6": "manual", "families": []string{"inet"}, "priority": 2,
		})
	}
	if (kind == "" || kind == "bridge" || strings.HasPrefix(kind, "any_")) && s.may(q.token, "/sdn/zones/localnetwork/"+bridge, "SDN.Audit", "SDN.Use") {
		out = append(out, map[string]any{
			"iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "bridge_ports": "eno1", "bridge_stp": "off", "bridge_fd": "0",
			"method": "static", "method6": "manual", "address": "192.0.2.1", "netmask": "24", "cidr": "192.0.2.1/24", "gateway": "192.0.2.254",
			"families": []string{"inet"}, "priority": 3,
		})
	}
	return out, nil
}
