package check_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/check"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// nothingLeft wants no VM of the runners' range but those that were there, and no clone of the template that runs.
func nothingLeft(t *testing.T) func(*pve.Server) {
	return func(s *pve.Server) {
		for _, vm := range s.State().VMs {
			if vm.VMID >= 300 && vm.VMID <= 319 && vm.Status != "destroyed" && !strings.Contains(vm.Config["description"], "keep") {
				t.Errorf("VM %d is left: %s, %v", vm.VMID, vm.Status, vm.Config)
			}
		}
	}
}

// canaries are the findings of canaries.
func canaries(list []check.Finding) []check.Finding {
	var out []check.Finding
	for _, f := range list {
		if strings.HasPrefix(f.ID, "canary") {
			out = append(out, f)
		}
	}
	return out
}

func TestCanaryIsClonedBootedAskedAndDestroyed(t *testing.T) {
	made := map[int]bool{}
	found := canaries(look(t, setting{canary: true, late: func(s *pve.Server) {
		nothingLeft(t)(s)
		for _, vm := range s.State().VMs {
			if vm.VMID >= 300 && vm.VMID <= 319 {
				made[vm.VMID] = true
				if vm.Pool != "ci" || vm.Status != "destroyed" {
					t.Errorf("VM %+v", vm)
				}
			}
		}
	}}))
	if len(found) != 1 || found[0].Level != check.OK || !strings.HasPrefix(found[0].Reason, "VM 319 was ready ") || !strings.Contains(found[0].Reason, ": run-once contract 2, Actions runner ") {
		t.Errorf("found %+v", found)
	}
	if len(made) != 1 || !made[319] {
		t.Errorf("made VMs %v, want 319 alone", made)
	}
}

func TestCanaryThatCanNotBecomeARunnerIsToldAndNotLeft(t *testing.T) {
	for _, tc := range []struct {
		name    string
		setting setting
		level   check.Level
		words   string
	}{
		{"the role of the docs", setting{audits: true}, check.OK, "VM 319 was ready"},
		{"protected template", setting{admin: set(t, 9000, map[string]string{"protection": "1"})}, check.OK, "VM 319 was ready"},
		{"no agent in the guest", setting{through: broken("/qemu/319/agent/exec")}, check.Error, "wasn't ready 10m0s after its start"},
		{"no bridge", setting{admin: set(t, 9000, map[string]string{"net0": "virtio,bridge=vmbr7"})}, check.Error, "vmbr7"},
		{"agent off in the template", setting{pve: pve.Options{TemplateAgentOff: true}}, check.Unseen, "no guest agent"},
		{"VMIDs taken", setting{env: []string{"RUNNER_ID_START=299", "RUNNER_ID_END=299", "MAX_TOTAL_RUNNERS=1"}}, check.Error, "all from 299 to 299 are taken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := tc.setting
			s.canary, s.late = true, nothingLeft(t)
			found := canaries(look(t, s))
			if len(found) != 1 || found[0].Level != tc.level || !strings.Contains(found[0].Reason, tc.words) {
				t.Errorf("found %+v, want %s with %q", found, tc.level, tc.words)
			}
		})
	}
}

// TestInterruptedCanaryIsRemovedWhateverItWasAt ends the checks before each of their calls to Proxmox VE.
func TestInterruptedCanaryIsRemovedWhateverItWasAt(t *testing.T) {
	calls := 0
	count := func(at int, cancel *context.CancelFunc) func(http.RoundTripper) http.RoundTripper {
		return func(next http.RoundTripper) http.RoundTripper {
			return through(func(r *http.Request) (*http.Response, error) {
				if calls++; calls == at {
					(*cancel)()
				}
				return next.RoundTrip(r)
			})
		}
	}
	run := func(canary bool, at int) []check.Finding {
		calls = 0
		var cancel context.CancelFunc
		return look(t, setting{canary: canary, late: nothingLeft(t), through: count(at, &cancel), ctx: func(ctx context.Context) context.Context {
			ctx, cancel = context.WithCancel(ctx)
			return ctx
		}})
	}
	run(false, 0)
	first := calls
	run(true, 0)
	if calls < first+8 {
		t.Fatalf("%d calls with a canary, %d without", calls, first)
	}
	total := calls
	for at := first + 1; at <= total; at++ {
		t.Run(fmt.Sprintf("call=%d", at-first), func(t *testing.T) {
			for _, f := range run(true, at) {
				if f.ID == check.CanaryLeft {
					t.Errorf("got %+v", f)
				}
			}
		})
	}
}

func TestCanaryOfADeadCheckIsRemovedAndNoOtherVM(t *testing.T) {
	note := func(image string, vmid int, at time.Duration) string {
		return runner.BuildMarker{Installation: "energyplus-runner-300", Image: image, Version: "20000101-0000", VMID: vmid, Created: virtualStart.Add(at)}.Description()
	}
	s := setting{canary: true}
	s.admin = func(a *proxmox.Client) {
		for vmid, description := range map[int]string{
			301: note("canary", 301, time.Minute), 302: note("canary", 302, 2*time.Hour) + "\nkeep", 303: note("canary", 304, time.Minute) + "\nkeep",
			305: note("debian-12", 305, time.Minute) + "\nkeep", 306: "keep",
		} {
			upid, err := a.Clone(context.Background(), "pve1", 9000, proxmox.CloneOptions{NewID: vmid, Name: "x", Description: description, Pool: "ci"})
			if err == nil {
				err = a.WaitTask(context.Background(), upid)
			}
			if err != nil {
				t.Error(err)
			}
		}
		time.Sleep(3 * time.Hour)
	}
	s.late = func(server *pve.Server) {
		nothingLeft(t)(server)
		for _, vm := range server.State().VMs {
			if strings.Contains(vm.Config["description"], "keep") && vm.Status == "destroyed" {
				t.Errorf("VM %d was destroyed", vm.VMID)
			}
		}
	}
	for _, f := range canaries(look(t, s)) {
		if f.Level != check.OK {
			t.Errorf("got %+v", f)
		}
	}
}
