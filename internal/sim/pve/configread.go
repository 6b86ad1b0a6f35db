package pve

import (
	"maps"
	"slices"
)

// getConfig is GET config: the options with pending changes applied, as after the next start; current=1 without.
func (s *Server) getConfig(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	v, err := s.vmOn(q.node.name, q.vmid())
	if err != nil {
		return nil, err
	}
	out := map[string]any{"digest": v.digest()}
	for k, val := range v.conf {
		out[k] = shown(k, val)
	}
	if !q.params.yes("current") {
		for k := range v.pendDel {
			delete(out, k)
		}
		for k, val := range v.pending {
			out[k] = shown(k, val)
		}
	}
	return out, nil
}

// getPending is GET pending: each option with its present and its coming value.
func (s *Server) getPending(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	v, err := s.vmOn(q.node.name, q.vmid())
	if err != nil {
		return nil, err
	}
	keys := slices.Collect(maps.Keys(v.conf))
	for k := range v.pending {
		if _, ok := v.conf[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	out := []any{map[string]any{"key": "digest", "value": v.digest()}}
	for _, k := range keys {
		e := map[string]any{"key": k}
		if val, ok := v.conf[k]; ok {
			e["value"] = shown(k, val)
		}
		if val, ok := v.pending[k]; ok {
			e["pending"] = shown(k, val)
		}
		if v.pendDel[k] {
			e["delete"] = 1
		}
		out = append(out, e)
	}
	return out, nil
}
