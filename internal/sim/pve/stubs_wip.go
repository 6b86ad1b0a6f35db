package pve

// Placeholders while the stand-in is being written; each goes when the real thing comes. None may be left.

import (
	"net/http"
	"time"

	"mayfly/internal/sim/wire"
)

type (
	faultBook    struct{}
	volume       struct{ vmid int }
	broadcast    struct{}
	uploadedFile struct{}
)

func newBlankEngine() Engine                                        { return nil }
func (s *Server) populate()                                         {}
func (s *Server) record(*http.Request, wire.Exchange)               {}
func (s *Server) chooseFault(*http.Request) wire.Fault              { return wire.Fault{} }
func (s *Server) routes() map[string]func(*call) (any, error)       { return nil }
func (s *Server) serveDoor(w http.ResponseWriter, r *http.Request)  { http.NotFound(w, r) }
func (s *Server) readUpload(*http.Request, string, *call) error     { return nil }
func (s *Server) plugDrive(*vm, string, string) (string, *apiError) { return "", nil }
func (s *Server) checkDrives(*change) *apiError                     { return nil }
func (s *Server) broadcast(time.Time)                               {}
func (s *Server) State() State                                      { return State{} }

type storage struct{}

func storageByID(string) *storage { return nil }
