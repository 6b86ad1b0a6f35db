package fleet_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/fleet"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
	"mayfly/runners"
)

// isoToken is a token that may also upload; with the role of the same name and "Delete" it may delete, too.
const isoToken = "iso@pve!mayfly"

// isoRoles are what the token has beside the fleet's privileges, which it has, too.
func isoRoles(onStorage string) map[string]string {
	return map[string]string{
		"/pool/ci": "CIRunnerVM", "/pool/ci-templates": "PVETemplateUser", "/storage/local-lvm": "CIRunnerDS",
		"/storage/local": onStorage, "/sdn/zones/localnetwork/vmbr0": "PVESDNUser", "/nodes": "CIRunnerNode",
	}
}

// byISO makes a bench whose runners get their identity on an uploaded medium. The role on the storage is "Upload" or
// "UploadAndDelete".
func byISO(t *testing.T, onStorage, text string, change func(*setup)) *bench {
	t.Helper()
	template, err := cloudinit.Parse("test", text)
	if err != nil {
		t.Fatal(err)
	}
	return newBench(t, func(s *setup) {
		s.spec.Way, s.spec.Storage, s.spec.WebURL = fleet.WayISO, "local", "https://github.example"
		s.pve.CloudInitDrive, s.pve.TemplateAgentOff = true, true
		s.pve.Roles = []pve.Role{
			{Name: "Upload", Privileges: []string{"Datastore.Audit", "Datastore.AllocateTemplate"}},
			{Name: "UploadAndDelete", Privileges: []string{"Datastore.Audit", "Datastore.AllocateTemplate", "Datastore.Allocate"}},
		}
		s.pve.Tokens = []pve.Token{{ID: isoToken, Secret: "7d1e6a52-0c4b-4f1e-9a38-2b5c0e9f6d17", Roles: isoRoles(onStorage)}}
		s.as = isoToken
		s.seeders = func(c *proxmox.Client, log *slog.Logger) map[fleet.Way]fleet.Seeder {
			iso, err := handoff.NewISO(c, handoff.ISOOptions{Storage: "local", Node: "pve1", Installation: "bench", Template: template, Logger: log})
			if err != nil {
				t.Fatal(err)
			}
			return map[fleet.Way]fleet.Seeder{fleet.WayISO: iso}
		}
		if change != nil {
			change(s)
		}
	})
}

// media lists the files of ours on the storage: how many hold an identity, and how many are empty.
func (b *bench) media() (full, empty int) {
	b.t.Helper()
	info := b.pve.Info()
	admin, err := proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret),
		Transport: b.pve.RoundTripper(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	list, err := admin.Volumes(b.t.Context(), "pve1", "local", "iso")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, v := range list {
		switch {
		case !strings.HasPrefix(v.Name(), "mayfly-bench_"):
		case v.Size == runner.Bytes(len(cloudinit.EmptyISO())):
			empty++
		default:
			full++
		}
	}
	return full, empty
}

// mounted counts our VMs that have a medium of ours in a drive.
func (b *bench) mounted() int {
	n := 0
	for _, v := range b.pve.VMs() {
		for _, value := range v.Config {
			if v.Status != "destroyed" && strings.Contains(value, ":iso/mayfly-bench_") {
				n++
			}
		}
	}
	return n
}

func TestMediumIsEjectedAndDeletedWhileTheJobRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := byISO(t, "UploadAndDelete", runners.UserDataTemplate, nil)
		b.queue(3, 5*time.Minute)
		b.until(10*time.Minute, "all jobs run", func() bool { return count(b, "in_progress") == 3 })
		b.until(10*time.Second, "no medium is left", func() bool { full, empty := b.media(); return full+empty+b.mounted() == 0 })
		if n := count(b, "in_progress"); n != 3 {
			t.Errorf("%d jobs run", n)
		}
		for _, v := range b.pve.VMs() {
			if v.Decoy == "" && !v.Template && v.Config["ide2"] != "none,media=cdrom" {
				t.Errorf("VM %d has ide2=%s", v.VMID, v.Config["ide2"])
			}
		}
		b.served(time.Hour)
		b.made(3, 3)
	})
}

// TestRunnerThatNoLookHasShownYetKeepsItsVM has guests that are online before Proxmox is looked at again: nothing but their
// clone tells yet that they are in our resource pool.
func TestRunnerThatNoLookHasShownYetKeepsItsVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := byISO(t, "UploadAndDelete", runners.UserDataTemplate, func(s *setup) {
			s.spec.Timing.Supply = 25 * time.Second
			s.guests.Boot = 5 * time.Second
		})
		for range 4 {
			b.queue(2, 5*time.Minute)
			b.served(time.Hour)
		}
		if strings.Contains(b.log.String(), "disowned") {
			t.Error("a runner was disowned")
		}
		b.made(8, 8)
		b.jobsRan()
	})
}

func TestMediumWithARegistrationTokenWorksToo(t *testing.T) {
	text := strings.ReplaceAll(runners.UserDataTemplate, "${jit_config}", "")
	synctest.Test(t, func(t *testing.T) {
		b := byISO(t, "UploadAndDelete", text, nil)
		b.queue(2, 5*time.Minute)
		b.served(time.Hour)
		if full, empty := b.media(); full+empty != 0 {
			t.Errorf("left: %d full, %d empty", full, empty)
		}
	})
}

// TestMediaThatCantBeDeletedAreEmptiedAndUsedAgain has a token without Datastore.Allocate.
func TestMediaThatCantBeDeletedAreEmptiedAndUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := byISO(t, "Upload", runners.UserDataTemplate, nil)
		for range 12 {
			b.queue(2, time.Minute)
			b.served(time.Hour)
			if full, _ := b.media(); full != 0 {
				t.Fatalf("%d media with an identity are left", full)
			}
			time.Sleep(3 * time.Minute)
		}
		if _, empty := b.media(); empty > 4 {
			t.Errorf("%d empty images for 24 runners, at most 2 at once", empty)
		}
		if !strings.Contains(b.log.String(), "lacks Datastore.Allocate on /storage/local") {
			t.Error("the log doesn't say why images stay")
		}
		b.made(24, 24)
		b.jobsRan()
	})
}

// TestCrashesLeaveNoMedium ends the controller at every moment around the upload and the ejection.
func TestCrashesLeaveNoMedium(t *testing.T) {
	for _, role := range []string{"UploadAndDelete", "Upload"} {
		t.Run(role, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := byISO(t, role, runners.UserDataTemplate, nil)
				b.queue(8, 2*time.Minute)
				for i := range 60 {
					time.Sleep(time.Duration(137*i%2900) * time.Millisecond)
					b.halt()
					b.start("")
				}
				b.served(2 * time.Hour)
				b.until(time.Hour, "no identity is left", func() bool { full, _ := b.media(); return full == 0 })
			})
		})
	}
}

// TestACrashAfterEachCallLeavesNoMediumAndNoSecondIdentity ends the controller right after each of the calls that the
// iso hand-off makes took effect.
func TestACrashAfterEachCallLeavesNoMediumAndNoSecondIdentity(t *testing.T) {
	for _, call := range isoCalls {
		t.Run(call.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := byISO(t, "UploadAndDelete", runners.UserDataTemplate, nil)
				struck := make(chan struct{}, 1)
				nth := 0
				lose := func(r *http.Request) bool {
					p := strings.TrimPrefix(r.URL.Path, "/api2/json")
					if r.Method != call.method || !call.hits(p) {
						return false
					}
					if nth++; nth != max(1, call.nth) {
						return false
					}
					select {
					case struck <- struct{}{}:
					default:
					}
					return true
				}
				b.toProxmox.lose.Store(&lose)
				b.queue(1, time.Minute)
				<-struck
				b.halt()
				b.toProxmox.lose.Store(nil)
				b.start("")
				b.served(2 * time.Hour)
				b.until(time.Hour, "no identity is left", func() bool { full, _ := b.media(); return full == 0 })
				b.jobsRan()
			})
		})
	}
}

// isoCall is a call that the hand-off makes.
type isoCall struct {
	name, method, path string
	nth                int
}

func (c isoCall) hits(p string) bool {
	prefix, suffix, _ := strings.Cut(c.path, "*")
	return strings.HasPrefix(p, prefix) && strings.HasSuffix(p, suffix)
}

var isoCalls = []isoCall{
	{name: "upload", method: http.MethodPost, path: "/nodes/pve1/storage/local/upload"},
	{name: "attach", method: http.MethodPut, path: "/nodes/pve1/qemu/*/config", nth: 2},
	{name: "start", method: http.MethodPost, path: "/nodes/pve1/qemu/*/status/start"},
	{name: "eject", method: http.MethodPut, path: "/nodes/pve1/qemu/*/config", nth: 3},
	{name: "delete", method: http.MethodDelete, path: "/nodes/pve1/storage/local/content/*.iso"},
}

// TestLostRepliesOfMediaAreAnsweredByDoingItAgain breaks each call of the hand-off, before and after it took effect.
func TestLostRepliesOfMediaAreAnsweredByDoingItAgain(t *testing.T) {
	for _, call := range isoCalls {
		for _, fault := range []pve.FaultSpec{
			{Kind: "reset_after"}, {Kind: "cut_body"}, {Kind: "answer_after", Status: 596}, {Kind: "answer", Status: 596}, {Kind: "answer", Status: 595},
		} {
			t.Run(fmt.Sprintf("%s/%s %d", call.name, fault.Kind, fault.Status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := byISO(t, "UploadAndDelete", runners.UserDataTemplate, nil)
					fault.Match = pve.FaultMatch{Method: call.method, Path: strings.Replace(call.path, "/content/*.iso", "/content/**", 1), Nth: call.nth}
					b.arm(fault)
					b.queue(1, 3*time.Minute)
					b.until(10*time.Minute, "the job runs without a medium", func() bool {
						full, empty := b.media()
						return count(b, "in_progress") == 1 && full+empty+b.mounted() == 0
					})
					b.served(time.Hour)
					b.fired()
					b.made(1, 1)
					b.jobsRan()
				})
			})
		}
	}
}

func TestOtherInstallationsMediaStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := byISO(t, "UploadAndDelete", runners.UserDataTemplate, nil)
		c, err := proxmox.New(proxmox.Options{
			Endpoints: []string{"https://pve1:8006"}, TokenID: isoToken, TokenSecret: runner.NewSecret(b.secret), Transport: b.pve.RoundTripper(),
		})
		if err != nil {
			t.Fatal(err)
		}
		others := []string{"mayfly-bench_.iso", "mayfly-other_ep-0123456789.iso", "mayfly-bench_ep-0123456789.img", "mayfly-bench2_ep-0123456789.iso", "x.iso"}
		const ours = "mayfly-bench_ep-0123456789.iso"
		for _, name := range append(others, ours) {
			upid, err := c.Upload(t.Context(), "pve1", proxmox.Upload{Storage: "local", Content: "iso", Name: name, Body: strings.NewReader(name), Size: int64(len(name))})
			if err == nil {
				err = c.WaitTask(t.Context(), upid)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		list, err := c.Volumes(t.Context(), "pve1", "local", "iso")
		if err != nil {
			t.Fatal(err)
		}
		left := map[string]bool{}
		for _, v := range list {
			left[v.Name()] = true
		}
		for _, name := range others {
			if !left[name] {
				t.Errorf("%s is gone", name)
			}
		}
		if left[ours] {
			t.Error("what a crash left of ours is still there")
		}
	})
}

func TestAutoComesToISOWhereTheAgentIsOffOrNotAllowed(t *testing.T) {
	for name, agentOff := range map[string]bool{"the template's guest agent is off": true, "the token lacks VM.GuestAgent.Unrestricted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := byISO(t, "UploadAndDelete", runners.UserDataTemplate, func(s *setup) {
					s.spec.Way, s.pve.TemplateAgentOff = fleet.WayAuto, agentOff
					s.pve.Roles = append(s.pve.Roles, pve.Role{Name: "NoAgent", Privileges: []string{
						"VM.Allocate", "VM.Audit", "VM.PowerMgmt", "VM.Config.Options", "VM.Config.Network", "VM.Config.CDROM", "VM.Config.Cloudinit", "Pool.Audit",
					}})
					s.pve.Tokens[0].Roles["/pool/ci"] = "NoAgent"
				})
				b.queue(2, time.Minute)
				b.until(10*time.Minute, "the way is told", func() bool { return len(b.controller.Status().Handoffs) == 1 })
				if h := b.controller.Status().Handoffs[0]; h.Handoff != fleet.WayISO || !strings.Contains(h.Reason, name) {
					t.Errorf("hand-off %+v", h)
				}
				b.served(2 * time.Hour)
				b.made(2, 2)
				if log := b.log.String(); !strings.Contains(log, "handoff=iso") || !strings.Contains(log, name) {
					t.Error("the log doesn't say which way and why")
				}
				if full, empty := b.media(); full+empty != 0 {
					t.Errorf("left: %d full, %d empty", full, empty)
				}
			})
		})
	}
}

func TestISOThatCantWorkEndsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := byISO(t, "CIRunnerDS", runners.UserDataTemplate, nil)
		err := <-b.ended
		b.ended <- nil
		if err == nil || !strings.Contains(err.Error(), "start: handoff iso: the token lacks Datastore.AllocateTemplate on /storage/local; run: pveum role add MayflyISO") {
			t.Errorf("ended with %v", err)
		}
	})
}
