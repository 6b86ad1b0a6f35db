package pve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"mayfly/internal/sim/wire"
)

// enrol gives a VM its place in the cluster and begins its record. The caller holds Server.mu.
func (c *cluster) enrol(v *vm, createdBy string) {
	if v.pending == nil {
		v.pending, v.pendDel = map[string]string{}, map[string]bool{}
	}
	v.record = &vmRecord{
		VMState: VMState{VMID: v.id, Node: v.node, Source: v.source, CreatedAt: time.Now(), CreatedBy: createdBy},
		vm:      v,
	}
	c.vms[v.id] = v
	c.history = append(c.history, v.record)
	c.report(ChangeCreated, v, createdBy)
}

// forget ends a VM's configuration file. The record keeps what the VM was, unless keep did so before.
func (c *cluster) forget(v *vm, by string) {
	if v.conf["lock"] != lockDestroyed {
		v.record.keep(v)
	}
	now := time.Now()
	v.record.Status, v.record.DestroyedAt, v.record.DestroyedBy, v.record.vm = statusDestroyed, &now, by, nil
	delete(c.vms, v.id)
	c.report(ChangeDestroyed, v, by)
	delete(c.acl, fmt.Sprintf("/vms/%d", v.id))
}

// Statuses of a VM in [State].
const (
	statusRunning   = "running"
	statusStopped   = "stopped"
	statusDestroyed = "destroyed"
)

// lockDestroyed is what a destroyed VM's file holds until it goes, last of all.
const lockDestroyed = "destroyed"

func (v *vm) status() string {
	if v.running {
		return statusRunning
	}
	return statusStopped
}

// keep takes a copy of what the VM is now.
func (r *vmRecord) keep(v *vm) {
	r.Name, r.Pool, r.Template, r.Status, r.Config = v.name(), v.pool, v.template(), v.status(), maps.Clone(v.conf)
	r.Node = v.node
	if _, ok := r.Config["cipassword"]; ok {
		r.Config["cipassword"] = "**********" // State holds no secret
	}
}

// fingerprint covers all that anybody could change about a VM.
func (v *vm) fingerprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\npool %s\nnode %s\nstatus %s\nstarts %d", v.render(), v.pool, v.node, v.status(), v.starts))
	return hex.EncodeToString(sum[:])
}

// State returns all that happened so far, a copy.
func (s *Server) State() State {
	s.lock()
	defer s.mu.Unlock()
	return State{VMs: s.vmStates(), Containers: s.containerStates(), Tasks: s.taskStates(), Requests: s.requestStates()}
}

// VMs is [State]'s part of that name, without the cost of the others.
func (s *Server) VMs() []VMState {
	s.lock()
	defer s.mu.Unlock()
	return s.vmStates()
}

// Tasks is [State]'s part of that name.
func (s *Server) Tasks() []TaskState {
	s.lock()
	defer s.mu.Unlock()
	return s.taskStates()
}

// Requests is [State]'s part of that name.
func (s *Server) Requests() []RequestState {
	s.lock()
	defer s.mu.Unlock()
	return s.requestStates()
}

func (s *Server) requestStates() []RequestState {
	out := append([]RequestState{}, s.requests...)
	slices.SortStableFunc(out, func(a, b RequestState) int { return a.At.Compare(b.At) })
	return out
}

func (s *Server) vmStates() []VMState {
	out := []VMState{}
	for _, r := range s.history {
		if r.vm != nil && r.vm.conf["lock"] != lockDestroyed {
			r.keep(r.vm)
		}
		st := r.VMState
		if r.vm != nil {
			st.Pool = r.vm.pool // which it loses before its file
		}
		st.Config = maps.Clone(r.Config)
		st.StartedAt, st.StoppedAt = slices.Clone(r.StartedAt), slices.Clone(r.StoppedAt)
		if st.DigestStart != "" {
			st.DigestNow = "gone"
			if r.vm != nil {
				st.DigestNow = r.vm.fingerprint()
			}
		}
		out = append(out, st)
	}
	return out
}

func (s *Server) taskStates() []TaskState {
	out := []TaskState{}
	for _, t := range slices.Concat(s.rotated, s.tasks) {
		st := TaskState{UPID: t.upid, Type: t.kind, Token: t.token.id, StartedAt: t.start, ExitStatus: t.exit}
		if !t.running() {
			end := t.end
			st.EndedAt = &end
		}
		out = append(out, st)
	}
	return out
}

// record writes a request into the log; bodies stay out of it.
func (s *Server) record(r *http.Request, x wire.Exchange) {
	if isDoor(r) {
		return
	}
	e := RequestState{
		At: x.At, Took: x.Took, Method: r.Method, Path: r.URL.RequestURI(), Status: x.Status, Reason: x.Reason,
		Fault: x.Fault.Kind.String(),
	}
	if tr, ok := x.Note.(*trace); ok {
		e.Token, e.Node, e.VMID, e.NewID = tr.token, tr.node, tr.vmid, tr.newid
	}
	s.mu.Lock()
	s.requests = append(s.requests, e)
	s.mu.Unlock()
	s.opts.Logger.Debug("request", "method", e.Method, "path", e.Path, "status", e.Status, "reason", e.Reason,
		"took", e.Took, "fault", e.Fault)
}
