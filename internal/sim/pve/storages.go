package pve

import (
	"maps"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// storage is one entry of storage.cfg.
type storage struct {
	id, kind string // kind is the plugin: "dir", "lvmthin"
	content  []string
	shared   bool
	total    runner.Bytes
}

// storages are what every stand-in cluster has: a directory for files, LVM-thin for disks, as an installer makes them.
// Each node has its own; nothing is shared.
func storages() []*storage {
	return []*storage{
		{id: storageFiles, kind: "dir", content: []string{"backup", "import", "iso", "snippets", "vztmpl"}, total: 100 * runner.GiB},
		{id: storageDisks, kind: "lvmthin", content: []string{"images", "rootdir"}, total: 1000 * runner.GiB},
	}
}

// storageByID returns nil for an unknown storage.
func storageByID(id string) *storage {
	for _, st := range storages() {
		if st.id == id {
			return st
		}
	}
	return nil
}

func (st *storage) holds(content string) bool { return slices.Contains(st.content, content) }

// files reports whether the storage is a directory: disks have folders and formats there, and files can be uploaded.
func (st *storage) files() bool { return st.kind == "dir" }

// used is what the volumes of a storage take on a node.
func (c *cluster) used(node string, st *storage) runner.Bytes {
	var sum runner.Bytes
	for key, vol := range c.volumes {
		if n, volid, _ := strings.Cut(key, "/"); n == node && strings.HasPrefix(volid, st.id+":") {
			sum += vol.used
		}
	}
	return sum
}

// mayLook reports whether the token sees a storage.
func (c *cluster) mayLook(t *token, st *storage) bool {
	return c.may(t, "/storage/"+st.id, "Datastore.Audit", "Datastore.AllocateSpace")
}

// listStorages is GET /nodes/{node}/storage: those that the token sees, with what the parameters ask for.
func (s *Server) listStorages(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	if q.params.has("target") {
		if err := s.knownNode(q.params.str("target")); err != nil {
			return nil, err
		}
	}
	out := []any{}
	for _, st := range storages() {
		if !s.mayLook(q.token, st) || q.params.has("storage") && q.params.str("storage") != st.id {
			continue
		}
		if wanted := splitList(q.params.str("content")); len(wanted) > 0 && !slices.ContainsFunc(wanted, st.holds) {
			continue
		}
		if q.params.str("target") != "" && q.params.str("target") != q.node.name && !st.shared {
			continue
		}
		e := s.storageFigures(q.node.name, st)
		e["storage"] = st.id
		e["used_fraction"] = float64(s.used(q.node.name, st)) / float64(st.total)
		out = append(out, e)
	}
	return out, nil
}

// storageStatus is GET status.
func (s *Server) storageStatus(q *call) (any, error) {
	st := storageByID(q.params.str("storage"))
	if st == nil {
		return nil, badParam("storage", "No such storage.")
	}
	s.lock()
	defer s.mu.Unlock()
	return s.storageFigures(q.node.name, st), nil
}

func (c *cluster) storageFigures(node string, st *storage) map[string]any {
	used := c.used(node, st)
	return map[string]any{
		"type": st.kind, "content": strings.Join(st.content, ","), "shared": flagOf(st.shared), "active": 1, "enabled": 1,
		"total": int64(st.total), "used": int64(used), "avail": int64(st.total - used),
	}
}

func flagOf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// storageRoutes are the handlers of storages and what lies on them.
func (s *Server) storageRoutes() map[string]handler {
	const base = "/nodes/{node}/storage"
	return map[string]handler{
		"GET " + base:                                    s.listStorages,
		"GET " + base + "/{storage}/status":              s.storageStatus,
		"GET " + base + "/{storage}/content":             s.listContent,
		"GET " + base + "/{storage}/content/{volume}":    s.getVolume,
		"DELETE " + base + "/{storage}/content/{volume}": s.deleteVolume,
		"POST " + base + "/{storage}/upload":             s.upload,
		"POST " + base + "/{storage}/download-url":       s.downloadURL,
	}
}

// sortedVolumes are the volumes of one storage on a node, by id.
func (s *Server) sortedVolumes(node, storage string) []string {
	var ids []string
	for _, key := range slices.Sorted(maps.Keys(s.volumes)) {
		if n, volid, _ := strings.Cut(key, "/"); n == node && strings.HasPrefix(volid, storage+":") {
			ids = append(ids, volid)
		}
	}
	if storage == storageFiles {
		ids = append(ids, s.snippetIDs()...)
		slices.Sort(ids)
	}
	return ids
}
