package pve

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// listContent is GET content: the volumes of a storage that the token sees. Who may allocate on the storage sees all;
// others see files and the disks of VMs that they may audit, and no snippets (pve-storage Storage.pm,
// check_volume_access).
func (s *Server) listContent(q *call) (any, error) {
	st := s.storageByID(q.params.str("storage"))
	if st == nil {
		return nil, failf("storage '%s' does not exist", q.params.str("storage"))
	}
	s.lock()
	defer s.mu.Unlock()
	out := []any{}
	for _, volid := range s.sortedVolumes(q.node.name, st.id) {
		vol := s.volume(q.node.name, volid)
		if vol == nil || // a snippet that went just now
			q.params.has("content") && q.params.str("content") != vol.content ||
			q.params.has("vmid") && vol.vmid != q.params.num("vmid", 0) && vol.content != "import" ||
			!s.mayVolume(q.token, st, vol) {
			continue
		}
		e := map[string]any{"volid": volid, "content": vol.content, "format": vol.format, "size": int64(vol.size), "ctime": vol.ctime.Unix()}
		if vol.content == "images" || vol.content == "rootdir" {
			e["vmid"] = vol.vmid
			if st.namesBase() {
				e["used"], e["parent"] = int64(vol.used), nil
			}
			if vol.parent != "" {
				_, e["parent"], _ = strings.Cut(vol.parent, ":")
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// mayVolume reports whether a token may see a volume.
func (c *cluster) mayVolume(t *token, st *storage, vol *volume) bool {
	path := "/storage/" + st.id
	switch {
	case c.may(t, path, "Datastore.Allocate"):
		return true
	case vol.content == "images" || vol.content == "rootdir":
		return c.may(t, fmt.Sprintf("/vms/%d", vol.vmid), "VM.Audit", "VM.Config.Disk")
	case vol.content == "snippets" || vol.content == "backup":
		return false
	}
	return c.may(t, path, "Datastore.Audit", "Datastore.AllocateSpace")
}

// volume finds what the path names: a whole volid, or one without its storage.
func (q *call) volume() string {
	volid := q.params.str("volume")
	if storage := q.params.str("storage"); !strings.Contains(volid, ":") {
		volid = storage + ":" + volid
	}
	return volid
}

// getVolume is GET content/{volume}.
func (s *Server) getVolume(q *call) (any, error) {
	volid := q.volume()
	store, name, _ := strings.Cut(volid, ":")
	st := s.storageByID(store)
	if st == nil {
		return nil, failf("storage '%s' does not exist", store)
	}
	s.lock()
	defer s.mu.Unlock()
	vol := s.volume(q.node.name, volid)
	if vol == nil || !s.mayVolume(q.token, st, vol) {
		if !s.mayLook(q.token, st) {
			return nil, forbidden("/storage/%s, Datastore.Audit|Datastore.AllocateSpace", store)
		}
		return nil, failf("volume_size_info on '%s' failed", volid)
	}
	out := map[string]any{"size": int64(vol.size), "used": int64(vol.used), "format": vol.format, "path": st.path(name)}
	if vol.content == "iso" {
		out["format"] = "raw"
	}
	return out, nil
}

// path is where a volume lies on the node.
func (st *storage) path(name string) string {
	if !st.files() {
		return "/dev/pve/" + name
	}
	root := "/mnt/pve/" + st.id
	if st.id == storageFiles {
		root = "/var/lib/vz" // always, whatever storage.cfg says (recorded)
	}
	kind, rest, _ := strings.Cut(name, "/")
	switch kind {
	case "iso":
		return root + "/template/iso/" + rest
	case "vztmpl":
		return root + "/template/cache/" + rest
	case "import", "snippets":
		return root + "/" + name
	}
	return root + "/images/" + name
}

// deleteVolume is DELETE content/{volume}. It takes Datastore.Allocate, whoever uploaded the file; one that isn't there
// is removed with success (recorded from Proxmox VE 9.2).
func (s *Server) deleteVolume(q *call) (any, error) {
	volid := q.volume()
	store, name, _ := strings.Cut(volid, ":")
	st := s.storageByID(store)
	if st == nil {
		return nil, failf("storage '%s' does not exist", store)
	}
	s.lock()
	err := s.require(q.token, "/storage/"+store, "Datastore.Allocate")
	vol := s.volumes[s.key(q.node.name, volid)]
	id := store
	if vol != nil && vol.vmid != 0 {
		id = fmt.Sprintf("%d@%s", vol.vmid, store)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	node := q.node.name
	upid := s.fork(node, "imgdel", id, q.token, func(ctx context.Context, w *worker) error {
		if err := pause(ctx, s.opts.Timing.Config); err != nil {
			return err
		}
		s.lock()
		defer s.mu.Unlock()
		key := s.key(node, volid)
		if s.volume(node, volid) == nil {
			s.logLocked(w, fmt.Sprintf("disk image '%s' does not exist", st.path(name)))
		}
		for other, vol := range s.volumes {
			if vol.parent == volid && s.reaches(node, other) {
				return failf("base volume '%s' is still in use by linked clones", name)
			}
		}
		if vol := s.volumes[key]; vol != nil {
			s.dropFile(vol)
		}
		delete(s.volumes, key)
		if err := s.removeSnippet(volid); err != nil {
			return err
		}
		s.logLocked(w, fmt.Sprintf("Removed volume '%s'", volid))
		return nil
	})
	if q.params.has("delay") && s.ends(q.ctx, upid, time.Duration(q.params.num("delay", 0))*time.Second) {
		return nil, nil
	}
	return upid, nil
}

// ends reports whether a task ends within the time given.
func (s *Server) ends(ctx context.Context, upid string, within time.Duration) bool {
	s.mu.Lock()
	var done chan struct{}
	for _, t := range s.tasks {
		if t.upid == upid {
			done = t.done
		}
	}
	s.mu.Unlock()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
