package pve

import (
	"net/http"

	"mayfly/internal/sim/wire"
)

func (s *Server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wire.SetReason(w, "Method '"+r.Method+" "+r.URL.Path+"' not implemented")
		w.WriteHeader(http.StatusNotImplemented)
	})
}

func (s *Server) chooseFault(*http.Request) wire.Fault { return wire.Fault{} }

func (s *Server) record(r *http.Request, x wire.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, RequestState{At: x.At, Took: x.Took, Method: r.Method, Path: r.URL.RequestURI(), Status: x.Status, Reason: x.Reason, Fault: x.Fault.Kind.String()})
}

func (s *Server) populate() {
	s.url = "https://" + s.opts.Node + ":8006"
	s.tokens = map[string]*token{fleetToken: {}, adminToken: {}}
}

// State tells all that happened so far.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Requests: append([]RequestState(nil), s.requests...)}
}
