package pve

import (
	"crypto/sha1" //nolint:gosec // Proxmox's digests are SHA-1
	"encoding/hex"
	"slices"
	"strings"
)

// dirMapping is a directory mapping, a section of mapping/directory.cfg: directories of nodes that guests may share.
type dirMapping struct {
	id, description string
	entries         []string // "node=pve1,path=/tmp", in their order
}

// mappings is mapping/directory.cfg, whole: its digest covers all sections.
type mappings []*dirMapping

func (m mappings) find(id string) int {
	return slices.IndexFunc(m, func(d *dirMapping) bool { return d.id == id })
}

// digest is the SHA-1 of the file as Proxmox writes it (pve-guest-common Mapping/Dir.pm; capture x2-lease-get).
func (m mappings) digest() string {
	var file strings.Builder
	for _, d := range m {
		file.WriteString(d.id + "\n")
		for _, e := range d.entries {
			file.WriteString("\tmap " + e + "\n")
		}
		if d.description != "" {
			file.WriteString("\tdescription " + d.description + "\n")
		}
		file.WriteString("\n")
	}
	sum := sha1.Sum([]byte(file.String())) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

func (s *Server) mappingRoutes() map[string]handler {
	const one = "/cluster/mapping/dir/{id}"
	return map[string]handler{
		"GET /cluster/mapping/dir":  s.listMappings,
		"POST /cluster/mapping/dir": s.createMapping,
		"GET " + one:                s.getMapping,
		"PUT " + one:                s.updateMapping,
		"DELETE " + one:             s.deleteMapping,
	}
}

// shown is a mapping as replies have it.
func (m mappings) shown(d *dirMapping) map[string]any {
	out := map[string]any{"type": "dir", "map": d.entries, "digest": m.digest()}
	if d.description != "" {
		out["description"] = d.description
	}
	return out
}

// listMappings is GET /cluster/mapping/dir: those that the token may look at, use or change.
func (s *Server) listMappings(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	out := []any{}
	for _, d := range s.mappings {
		if !s.may(q.token, "/mapping/dir/"+d.id, "Mapping.Modify", "Mapping.Use", "Mapping.Audit") {
			continue
		}
		entry := s.mappings.shown(d)
		entry["id"] = d.id
		if node := q.params.str("check-node"); node != "" {
			entry["checks"] = checksOf(d, node)
		}
		out = append(out, entry)
	}
	return out, nil
}

// checksOf says what is wrong with a mapping on a node.
func checksOf(d *dirMapping, node string) []any {
	checks, there := []any{}, false
	for _, e := range d.entries {
		if of, path := mapEntry(e); of == node {
			there = true
			if err := pathThere(path); err != nil {
				checks = append(checks, map[string]any{"severity": "error", "message": "Invalid configuration: " + err.msg + "\n"})
			}
		}
	}
	if !there {
		checks = append(checks, map[string]any{"severity": "warning", "message": "No mapping for node " + node + "."})
	}
	return checks
}

// mapEntry reads "node=pve1,path=/tmp".
func mapEntry(e string) (node, path string) {
	for part := range strings.SplitSeq(e, ",") {
		switch k, v, _ := strings.Cut(part, "="); k {
		case "node":
			node = v
		case "path":
			path = v
		}
	}
	return node, path
}

// pathThere knows the directories of a node right after its installation.
func pathThere(path string) *apiError {
	path = "/" + strings.Trim(path, "/")
	if slices.Contains([]string{"/", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/usr", "/var", "/var/lib/vz", "/var/tmp"}, path) {
		return nil
	}
	return failf("Path %s does not exist", path)
}

// checkMap refuses directories that the node that was asked doesn't have; others' aren't looked at (recorded).
func (s *Server) checkMap(entries []string) *apiError {
	for _, e := range entries {
		if node, path := mapEntry(e); node == s.opts.Node {
			if err := pathThere(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// getMapping is GET /cluster/mapping/dir/{id}.
func (s *Server) getMapping(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	at := s.mappings.find(q.params.str("id"))
	if at < 0 {
		return nil, failf("mapping '%s' not found", q.params.str("id"))
	}
	return s.mappings.shown(s.mappings[at]), nil
}

// createMapping is POST /cluster/mapping/dir (pve-manager API2/Cluster/Mapping/Dir.pm).
func (s *Server) createMapping(q *call) (any, error) {
	const failed = "create directory mapping failed: "
	d := &dirMapping{id: q.params.str("id"), description: q.params.str("description"), entries: q.params.list("map")}
	if err := s.checkMap(d.entries); err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	if s.mappings.find(d.id) >= 0 {
		return nil, failf(failed+"dir ID '%s' already defined", d.id)
	}
	if strings.Contains(d.description, "\n") {
		return nil, failf(failed + "property contains a line feed")
	}
	s.mappings = append(s.mappings, d)
	return nil, nil
}

// updateMapping is PUT /cluster/mapping/dir/{id}: the digest is compared first, then the rest is looked at (recorded).
func (s *Server) updateMapping(q *call) (any, error) {
	const failed = "update directory mapping failed: "
	s.lock()
	defer s.mu.Unlock()
	id := q.params.str("id")
	if have := q.params.str("digest"); q.params.has("digest") && have != s.mappings.digest() {
		return nil, failf(failed + "detected modified configuration - file changed by other user? Try again.")
	}
	at := s.mappings.find(id)
	if at < 0 {
		return nil, failf(failed+"dir ID '%s' does not exist", id)
	}
	if !q.params.has("map") {
		return nil, failf(failed + "missing value for required option 'map'")
	}
	d := *s.mappings[at]
	d.entries = q.params.list("map")
	if err := s.checkMap(d.entries); err != nil {
		return nil, failf(failed+"%s", err.msg)
	}
	if q.params.has("description") {
		d.description = q.params.str("description")
	}
	for _, k := range splitList(q.params.str("delete")) {
		if err := deleteOption(&d, k, q.params); err != nil {
			return nil, failf(failed+"%s", err.msg)
		}
	}
	if strings.Contains(d.description, "\n") {
		return nil, failf(failed + "property contains a line feed")
	}
	s.mappings[at] = &d
	return nil, nil
}

// deleteOption is what "delete" does to one option (pve-common SectionConfig.pm, delete_from_config).
func deleteOption(d *dirMapping, option string, p params) *apiError {
	switch {
	case option == "map":
		return failf("unable to delete required option 'map'")
	case option != "description":
		return failf("no such option '%s'", option)
	case p.has("description"):
		return failf("cannot set and delete property 'description' at the same time!")
	}
	d.description = ""
	return nil
}

// deleteMapping is DELETE /cluster/mapping/dir/{id}; one that isn't there is as good as gone.
func (s *Server) deleteMapping(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	id := q.params.str("id")
	s.mappings = slices.DeleteFunc(s.mappings, func(d *dirMapping) bool { return d.id == id })
	return nil, nil
}
