package pve

// Placeholders while the stand-in is being written; each goes when the real thing comes. None may be left.

import (
	"net/http"
	"strconv"
	"time"

	"mayfly/internal/runner"
)

type (
	volume struct {
		vmid int
		size runner.Bytes
	}
	broadcast    struct{}
	uploadedFile struct{}
)

func (s *Server) readUpload(*http.Request, string, *call) error     { return nil }
func (s *Server) plugDrive(*vm, string, string) (string, *apiError) { return "", nil }
func (s *Server) checkDrives(*change) *apiError                     { return nil }
func (s *Server) broadcast(time.Time)                               {}

type storage struct{ shared bool }

func storageByID(string) *storage { return &storage{} }

// B's, called by A with s.mu held. These do just enough for A's tests to run.
func (s *Server) newDisk(node string, vmid int, storage string, size runner.Bytes) string {
	id := storage + ":vm-" + strconv.Itoa(vmid) + "-disk-0"
	s.volumes[node+"/"+id] = &volume{vmid: vmid, size: size}
	return id
}

func (s *Server) cloneVolumes(src *vm, newid int, full bool, storage string) (map[string]string, *apiError) {
	out := map[string]string{}
	for opt, d := range src.disks() {
		out[opt] = s.newDisk(src.node, newid, d.storage(), d.size()) + ",size=" + printSize(d.size())
	}
	return out, nil
}

func (s *Server) freeVolumes(v *vm) []string {
	for _, d := range v.disks() {
		delete(s.volumes, v.node+"/"+d.file)
	}
	return nil
}
func (s *Server) makeBase(v *vm)                                     {}
func (s *Server) baseInUse(v *vm) *apiError                          { return nil }
func (s *Server) populateStorage()                                   {}
func (s *Server) storageRoutes() map[string]func(*call) (any, error) { return nil }
func (s *Server) clusterRoutes() map[string]func(*call) (any, error) { return nil }
