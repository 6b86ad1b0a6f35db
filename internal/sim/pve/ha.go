package pve

import (
	"strconv"
	"strings"
)

// haRoutes are what the HA manager is told of containers. It does nothing of its own here: nodes don't fail.
func (s *Server) haRoutes() map[string]handler {
	return map[string]handler{
		"POST /cluster/ha/resources":         s.addHA,
		"DELETE /cluster/ha/resources/{sid}": s.removeHA,
	}
}

// haContainer is the container that a service id names: "ct:190" or "190".
func haContainer(sid string) int {
	id, _ := strconv.Atoi(strings.TrimPrefix(sid, "ct:"))
	return id
}

// addHA is POST /cluster/ha/resources (pve-ha-manager API2/HA/Resources.pm, create).
func (s *Server) addHA(q *call) (any, error) {
	id := haContainer(q.params.str("sid"))
	s.lock()
	defer s.mu.Unlock()
	ct := s.containers[id]
	switch {
	case ct == nil:
		return nil, failf("resource '%d' does not exist in cluster", id)
	case ct.ha:
		return nil, failf("resource ID 'ct:%d' already defined", id)
	}
	ct.ha = true
	return nil, nil
}

// removeHA is DELETE /cluster/ha/resources/{sid}.
func (s *Server) removeHA(q *call) (any, error) {
	id := haContainer(q.params.str("sid"))
	s.lock()
	defer s.mu.Unlock()
	ct := s.containers[id]
	if ct == nil || !ct.ha {
		return nil, failf("cannot delete service 'ct:%d', not HA managed!", id)
	}
	ct.ha = false
	return nil, nil
}
