package pve

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
)

// serveDoor answers the test doors, which only clients on this machine may use and which need no token:
//
//	GET    /_sim/state               State
//	GET    /_sim/faults              the faults in place
//	POST   /_sim/faults              arms one: a FaultSpec; answers {"id": n}
//	POST   /_sim/faults/release?id=n lets go what it holds
//	DELETE /_sim/faults?id=n         removes it; all without id
func (s *Server) serveDoor(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		doorError(w, http.StatusForbidden, "doors are for clients on this machine")
		return
	}
	id, err := queryNumber(r.URL.Query(), "id")
	if err != nil {
		doorError(w, http.StatusBadRequest, err.Error())
		return
	}
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_sim") {
	case "GET /state":
		doorAnswer(w, s.State())
	case "GET /faults":
		doorAnswer(w, s.Faults())
	case "POST /faults":
		var spec FaultSpec
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&spec); err != nil {
			doorError(w, http.StatusBadRequest, "fault: "+err.Error())
			return
		}
		id, err := s.Fault(spec)
		if err != nil {
			doorError(w, http.StatusBadRequest, err.Error())
			return
		}
		doorAnswer(w, map[string]int64{"id": id})
	case "POST /faults/release":
		if !s.ReleaseFault(id) {
			doorError(w, http.StatusNotFound, "no such fault")
			return
		}
		doorAnswer(w, map[string]bool{"released": true})
	case "DELETE /faults":
		doorAnswer(w, map[string]int{"removed": s.ClearFaults(id)})
	default:
		doorError(w, http.StatusNotFound, "no such door")
	}
}

func doorAnswer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(encodeJSON(v))
}

func doorError(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encodeJSON(map[string]string{"error": text}))
}
