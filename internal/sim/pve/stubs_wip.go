package pve

// Placeholders while the stand-in is being written; each goes when the real thing comes. None may be left.

import "net/http"

type uploadedFile struct{}

func (s *Server) readUpload(*http.Request, string, *call) error { return nil }
func (s *Server) listContent(*call) (any, error)                { return nil, nil }
func (s *Server) getVolume(*call) (any, error)                  { return nil, nil }
func (s *Server) deleteVolume(*call) (any, error)               { return nil, nil }
func (s *Server) upload(*call) (any, error)                     { return nil, nil }
