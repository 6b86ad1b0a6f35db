package pve

import (
	"maps"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// Storage is an entry of storage.cfg beside those that every stand-in cluster has.
type Storage struct {
	ID string
	// Type is the plugin: "dir" and "nfs" hold files and disks in folders, "lvmthin" and "rbd" disks only.
	Type string
	// Content is what it may hold: "images", "iso", "import", ….
	Content []string
	// Shared says that all nodes see the same volumes; else each has its own.
	Shared bool
	// Total is its size on each node; 0 is 1000 GiB.
	Total runner.Bytes
}

// storage is one entry of storage.cfg.
type storage struct {
	id, kind string // kind is the plugin: "dir", "lvmthin"
	content  []string
	shared   bool
	total    runner.Bytes
}

// storagesOf are a directory for files and LVM-thin for disks, as an installer makes them, each node having its own, and
// what the options add.
func storagesOf(more []Storage) []*storage {
	all := []*storage{
		{id: storageFiles, kind: "dir", content: []string{"backup", "import", "iso", "snippets", "vztmpl"}, total: 100 * runner.GiB},
		{id: storageDisks, kind: "lvmthin", content: []string{"images", "rootdir"}, total: 1000 * runner.GiB},
	}
	for _, o := range more {
		st := &storage{id: o.ID, kind: o.Type, content: slices.Sorted(slices.Values(o.Content)), shared: o.Shared, total: o.Total}
		if st.total == 0 {
			st.total = 1000 * runner.GiB
		}
		all = append(all, st)
	}
	return all
}

// storageByID returns nil for an unknown storage.
func (c *cluster) storageByID(id string) *storage {
	for _, st := range c.storages {
		if st.id == id {
			return st
		}
	}
	return nil
}

// everyNode stands for the node in the key of a volume that all of them see.
const everyNode = "*"

// key is where a node's volume is among all.
func (c *cluster) key(node, volid string) string {
	store, _, _ := strings.Cut(volid, ":")
	if st := c.storageByID(store); st != nil && st.shared {
		node = everyNode
	}
	return node + "/" + volid
}

// reaches reports whether a node sees the volume with a key.
func (c *cluster) reaches(node, key string) bool {
	n, _, _ := strings.Cut(key, "/")
	return n == node || n == everyNode
}

func (st *storage) holds(content string) bool { return slices.Contains(st.content, content) }

// files reports whether the storage is a directory: disks have folders and formats there, and files can be uploaded.
func (st *storage) files() bool { return st.kind == "dir" || st.kind == "nfs" }

// namesBase reports whether a linked clone's volid names its base volume, as everywhere but on LVM-thin: its clones are
// snapshots that live on without their origin, so that a template with clones may be removed there (pve-storage
// LvmThinPlugin.pm, clone_image and parse_volname).
func (st *storage) namesBase() bool { return st.kind != "lvmthin" }

// used is what the volumes of a storage take on a node.
func (c *cluster) used(node string, st *storage) runner.Bytes {
	var sum runner.Bytes
	for key, vol := range c.volumes {
		if _, volid, _ := strings.Cut(key, "/"); c.reaches(node, key) && strings.HasPrefix(volid, st.id+":") {
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
	for _, st := range s.storages {
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
		e["used_fraction"] = float64(s.taken(q.node.name, st)) / float64(st.total)
		out = append(out, e)
	}
	return out, nil
}

// storageStatus is GET status.
func (s *Server) storageStatus(q *call) (any, error) {
	st := s.storageByID(q.params.str("storage"))
	if st == nil {
		return nil, badParam("storage", "No such storage.")
	}
	s.lock()
	defer s.mu.Unlock()
	return s.storageFigures(q.node.name, st), nil
}

func (c *cluster) storageFigures(node string, st *storage) map[string]any {
	used := c.taken(node, st)
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
		if _, volid, _ := strings.Cut(key, "/"); s.reaches(node, key) && strings.HasPrefix(volid, storage+":") {
			ids = append(ids, volid)
		}
	}
	if storage == storageFiles {
		ids = append(ids, s.snippetIDs()...)
		slices.Sort(ids)
	}
	return ids
}
