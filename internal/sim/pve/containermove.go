package pve

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// moveContainerVolume is POST move_volume to another container of the node (pve-container API2/LXC.pm, move_volume with
// target-vmid): the volume is renamed and changes configurations. Moving one to another storage isn't served.
func (s *Server) moveContainerVolume(q *call) (any, error) {
	p := q.params
	switch {
	case p.has("storage") && p.has("target-vmid"):
		return nil, failf("either set storage or target-vmid, but not both")
	case !p.has("target-vmid"):
		return nil, badParam("target-vmid", "both 'storage' and 'target-vmid' missing, either needs to be set")
	}
	m := volumeMove{from: q.vmid(), to: p.num("target-vmid", 0), key: p.str("volume"), toKey: p.str("target-volume")}
	if m.toKey == "" {
		m.toKey = m.key
	}
	s.lock()
	err := s.requireVM(q.token, m.to, "", "VM.Config.Disk")
	var storage string
	if err == nil {
		storage, err = s.movable(m)
	}
	if err == nil {
		err = s.require(q.token, "/storage/"+storage, "Datastore.AllocateSpace")
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.fork(q.node.name, "move_volume", fmt.Sprintf("%d-%s>%d-%s", m.from, m.key, m.to, m.toKey), q.token, func(ctx context.Context, w *worker) error {
		return s.runVolumeMove(ctx, w, m)
	}), nil
}

// volumeMove is a volume that goes from one container to another.
type volumeMove struct {
	from, to   int
	key, toKey string
}

// movable checks a move, at once and again with the locks, and gives the volume's storage. The caller holds Server.mu.
func (c *cluster) movable(m volumeMove) (storage string, err *apiError) {
	if m.key == "rootfs" || m.toKey == "rootfs" {
		return "", failf("Cannot move to/from 'rootfs'")
	}
	if isNumbered(m.key, "unused") && !isNumbered(m.toKey, "unused") {
		return "", failf("Moving an unused volume to a used one is not possible")
	}
	from, to := c.containers[m.from], c.containers[m.to]
	for id, ct := range map[int]*container{m.from: from, m.to: to} {
		if ct == nil {
			return "", failf("could not find CT %d", id)
		}
	}
	if from.node != to.node {
		return "", failf("Both containers need to be on the same node (%s != %s)", from.node, to.node)
	}
	for _, ct := range []*container{from, to} {
		if err := ct.checkLock(); err != nil {
			return "", err
		}
	}
	switch {
	case from.conf[m.key] == "":
		return "", failf("volume '%s' for container '%d' does not exist", m.key, m.from)
	case to.conf[m.toKey] != "":
		return "", failf("Target volume key '%s' is already in use for container '%d'", m.toKey, m.to)
	case from.running && !isNumbered(m.key, "unused"):
		return "", failf("Cannot move in-use volume while the source CT is running - detach or shutdown first")
	}
	return storageOf(from.conf[m.key]), nil
}

// runVolumeMove is the move_volume worker.
func (s *Server) runVolumeMove(ctx context.Context, w *worker, m volumeMove) error {
	releaseFrom, err := w.lockVM(ctx, m.from)
	if err != nil {
		return err
	}
	defer releaseFrom()
	releaseTo, err := w.lockVM(ctx, m.to)
	if err != nil {
		return err
	}
	defer releaseTo()
	if err := w.point(ctx, pointLocked); err != nil {
		return err
	}
	if err := pause(ctx, s.opts.Timing.Config); err != nil {
		return err
	}
	s.lock()
	defer s.mu.Unlock()
	if _, err := s.movable(m); err != nil {
		return err
	}
	from, to := s.containers[m.from], s.containers[m.to]
	s.logLocked(w, fmt.Sprintf("moving volume '%s' from container '%d' to '%d'", m.key, m.from, m.to))
	volid, options, _ := strings.Cut(from.conf[m.key], ",")
	old := s.key(from.node, volid)
	volume := s.volumes[old]
	if volume == nil {
		return failf("volume '%s' does not exist", volid)
	}
	st := s.storageByID(storageOf(volid))
	renamed := s.containerDisk(from.node, st, m.to)
	delete(s.volumes, old)
	volume.vmid = m.to
	s.volumes[s.key(from.node, renamed)] = volume
	s.logLocked(w, fmt.Sprintf("removing volume '%s' from container '%d' config", m.key, m.from))
	delete(from.conf, m.key)
	if options != "" {
		options = "," + options
	}
	to.apply(map[string]string{m.toKey: renamed + options}, nil)
	s.logLocked(w, fmt.Sprintf("target container '%d' updated with '%s'", m.to, m.toKey))
	return nil
}

// containerDisk is a free name for a container's next volume.
func (c *cluster) containerDisk(node string, st *storage, vmid int) string {
	volid := strings.TrimSuffix(c.diskName(node, st, vmid, ""), ".qcow2")
	if st.files() {
		volid += ".raw"
	}
	return volid
}

// newMounts makes the volumes that a change of configuration asks for, such as "mp0=local-lvm:1,mp=/var/lib/x", and puts
// their names into it (pve-container LXC/Config.pm, apply_pending_mountpoint).
func (s *Server) newMounts(t *token, ct *container, set map[string]string) *apiError {
	fresh := map[string]string{}
	for opt, value := range set {
		if volume := containerFields(opt, value)["volume"]; isMountPoint(opt) && newDiskForm.MatchString(volume) {
			if err := s.mayMakeVolume(t, volume); err != nil {
				return err
			}
			fresh[opt] = value
		}
	}
	maps.Copy(set, s.makeVolumes(nil, ct.node, ct.id, fresh))
	return nil
}
