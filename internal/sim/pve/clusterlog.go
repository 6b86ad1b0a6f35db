package pve

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// clusterLogSize is how many lines the cluster's log keeps; Proxmox's is a ring of about that size (pmxcfs logger.h).
const clusterLogSize = 1000

// clusterLine is a line of the cluster's log. Every node's administrators read it, and each value that a configuration
// is given stands in it.
type clusterLine struct {
	at         time.Time
	node, user string
	text       string
}

// noteLocked writes a line. The caller holds Server.mu.
func (c *cluster) noteLocked(node string, t *token, text string) {
	c.log = append(c.log, clusterLine{time.Now(), node, t.user(), text})
	if extra := len(c.log) - clusterLogSize; extra > 0 {
		c.log = slices.Delete(c.log, 0, extra)
	}
}

// noteUpdate writes what a configuration was given: "update CT 190: -description … -tags …" (pve-container
// API2/LXC/Config.pm, update_vm; qemu-server's is alike). The caller holds Server.mu.
func (c *cluster) noteUpdate(node string, t *token, what string, p params) {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != "node" && name != "vmid" && name != "digest" {
			words = append(words, "-"+name, p.str(name))
		}
	}
	c.noteLocked(node, t, "update "+what+": "+strings.Join(words, " "))
}

// getClusterLog is GET /cluster/log: newest first; of others only with Sys.Syslog on "/".
func (s *Server) getClusterLog(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	all := s.may(q.token, "/", "Sys.Syslog")
	out := []any{}
	for i, line := range slices.Backward(s.log) {
		if len(out) == q.params.num("max", 50) {
			break
		}
		if !all && line.user != q.token.user() {
			continue
		}
		out = append(out, map[string]any{
			"uid": i + 1, "time": line.at.Unix(), "node": line.node, "user": line.user, "pri": 6, "tag": "pvedaemon", "pid": 1000, "id": i + 1, "msg": line.text,
		})
	}
	return out, nil
}
