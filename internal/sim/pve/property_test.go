package pve

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Whatever a client does, at whatever moments, and whatever becomes of its tasks: when all is quiet no lock file is
// held, no daemon worker is taken, every disk has its VM, and the lives in the state make sense.
func TestNothingIsLeftBehindByAnyOrderOfCalls(t *testing.T) {
	ops := []struct {
		method, what string
		params       []string
	}{
		{"POST", "clone", []string{"pool=ci"}},
		{"POST", "clone", []string{"pool=ci", "full=1"}},
		{"POST", "/status/start", nil},
		{"POST", "/status/stop", nil},
		{"POST", "/status/stop", []string{"overrule-shutdown=1"}},
		{"POST", "/status/shutdown", []string{"timeout=2"}},
		{"POST", "/status/reboot", nil},
		{"POST", "/status/reset", nil},
		{"PUT", "/config", []string{"cores=3", "description=x"}},
		{"POST", "/agent/ping", nil},
		{"DELETE", "", []string{"destroy-unreferenced-disks=1"}},
		{"stop task", "", nil},
	}
	rapid.Check(t, func(rt *rapid.T) {
		type step struct {
			op    int
			id    string
			pause time.Duration
		}
		seed := rapid.Uint64().Draw(rt, "seed")
		plan := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				op: rapid.IntRange(0, len(ops)-1).Draw(rt, "call"), id: rapid.SampledFrom([]string{"270", "271", "272"}).Draw(rt, "vm"),
				pause: time.Duration(rapid.SampledFrom([]int{0, 1, 100, 300, 2000, 9000}).Draw(rt, "pause")) * time.Millisecond,
			}
		}), 1, 25).Draw(rt, "plan")
		synctest.Test(t, func(t *testing.T) {
			s := New(Options{Seed: seed})
			defer s.Close()
			fleet := fleetOf(t, s)
			var wg sync.WaitGroup
			for _, p := range plan {
				op := ops[p.op]
				path, method, params := vmPath(p.id, op.what), op.method, op.params
				switch {
				case op.what == "clone":
					path, params = vmPath("9000", "/clone"), append([]string{"newid=" + p.id}, params...)
				case method == "stop task":
					tasks := s.State().Tasks
					// A removal that is stopped half-way leaves a VM without disks on Proxmox, too.
					if len(tasks) == 0 || tasks[len(tasks)-1].Type == "qmdestroy" {
						continue
					}
					method, path = "DELETE", "/nodes/pve1/tasks/"+tasks[len(tasks)-1].UPID
				}
				wg.Go(func() { _, _ = fleet.try(method, path, params...) })
				time.Sleep(p.pause)
			}
			wg.Wait()
			time.Sleep(2 * time.Minute)
			checkQuiet(rt, s)
		})
	})
}

func checkQuiet(rt *rapid.T, s *Server) {
	st := s.State()
	for _, task := range st.Tasks {
		if task.EndedAt == nil {
			rt.Errorf("%s still runs", task.UPID)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		if len(n.locks.locks) > 0 || len(n.workers) > 0 {
			rt.Errorf("%d lock files held, %d daemon workers taken", len(n.locks.locks), len(n.workers))
		}
	}
	for key, vol := range s.volumes {
		if vol.vmid != 0 && s.vms[vol.vmid] == nil {
			rt.Errorf("disk %s has no VM", key)
		}
	}
	for _, v := range s.vms {
		for opt, d := range v.disks() {
			if s.volumes[v.node+"/"+d.file] == nil {
				rt.Errorf("VM %d: %s has no disk %s", v.id, opt, d.file)
			}
		}
	}
	for _, v := range st.VMs {
		if v.DigestStart != v.DigestNow {
			rt.Errorf("VM %d (%s) was touched", v.VMID, v.Decoy)
		}
		on := len(v.StartedAt) - len(v.StoppedAt)
		if v.Status == statusRunning && on != 1 || v.Status != statusRunning && on != 0 {
			rt.Errorf("VM %d is %s after %d starts and %d stops", v.VMID, v.Status, len(v.StartedAt), len(v.StoppedAt))
		}
		if lock := v.Config["lock"]; v.Decoy == "" && lock != "" && !strings.HasPrefix(v.Status, statusDestroyed) {
			rt.Errorf("VM %d keeps lock %s", v.VMID, lock)
		}
	}
}
