package bootstrap_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/bootstrap"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

func TestWhatIsLeftBehindIsSaidOnTheSameLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pve.New(pve.Options{MayUpload: true})
		defer s.Close()
		if _, err := s.Fault(pve.FaultSpec{Match: pve.FaultMatch{Task: "imgdel", At: "start", Count: -1}, Kind: "kill"}); err != nil {
			t.Fatal(err)
		}
		m := making(9000)
		err := bootstrap.Make(t.Context(), clientOf(t, s), m)
		const first, then = "VM 9000 already exists on node 'pve1'", "; then local:vztmpl/mayfly-9000-abc.tar.zst is left behind: "
		if err == nil || !strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), then) || strings.Contains(err.Error(), "\n") ||
			!errors.Is(err, proxmox.Exists) {
			t.Errorf("%v", err)
		}
	})
}

// clientOf is a client with the fleet's token, in process.
func clientOf(t *testing.T, s *pve.Server) *proxmox.Client {
	t.Helper()
	info := s.Info()
	c, err := proxmox.New(proxmox.Options{
		Endpoints: []string{info.URL}, TokenID: info.TokenID, TokenSecret: runner.NewSecret(info.TokenSecret), Transport: s.RoundTripper(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func making(vmid int) bootstrap.Making {
	ct := container()
	ct.VMID = vmid
	const archive = "prepared"
	return bootstrap.Making{
		Node: "pve1", Container: ct, Archive: strings.NewReader(archive), Size: int64(len(archive)), TemplateStorage: "local",
		TemplateName: bootstrap.TemplateName(vmid, "abc"), Patience: 3 * time.Minute,
	}
}

func TestContainerIsThereWhenItsDispatcherIsReadyAndElseNothingIs(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*bootstrap.Making)
		inside map[string]string // what the dispatcher sets after 20 s
		want   string            // part of the error; "" for none
		kind   error
	}{
		{name: "ready", inside: map[string]string{"tags": "mayfly-ready"}},
		{name: "failed", inside: map[string]string{"tags": "mayfly-failed", "description": "mayfly: GitHub can't be reached: no route\nmore"}, want: "it can't start: GitHub can't be reached: no route"},
		{name: "silent", want: "no word of it within 3m0s", kind: context.DeadlineExceeded},
		{name: "VMID taken", change: func(m *bootstrap.Making) { m.Container.VMID = 9000 }, want: "VM 9000 already exists", kind: proxmox.Exists},
		{name: "no vztmpl", change: func(m *bootstrap.Making) { m.TemplateStorage = "local-lvm" }, want: "upload", kind: nil},
		{name: "no rootdir", change: func(m *bootstrap.Making) { m.Container.Storage = "local" }, want: "container directories", kind: proxmox.BadParameter},
		{name: "bridge", change: func(m *bootstrap.Making) { m.Container.Bridge = "vmbr7" }, want: "needs SDN.Use on /sdn/zones/localnetwork/vmbr7", kind: proxmox.Permission},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *pve.Server
				s = pve.New(pve.Options{MayUpload: true, Container: func(ctx context.Context, c *pve.Container) {
					time.Sleep(20 * time.Second)
					if tc.inside != nil {
						if err := clientOf(t, s).SetContainerConfig(ctx, c.Node, c.VMID, tc.inside, nil, ""); err != nil {
							t.Error(err)
						}
					}
				}})
				defer s.Close()
				m := making(190)
				if tc.change != nil {
					tc.change(&m)
				}
				err := bootstrap.Make(t.Context(), clientOf(t, s), m)
				switch {
				case tc.want == "" && err != nil:
					t.Fatal(err)
				case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n")):
					t.Fatalf("%v, want one line with %q", err, tc.want)
				case tc.kind != nil && !errors.Is(err, tc.kind):
					t.Errorf("%v is no %v", err, tc.kind)
				}
				left := s.State().Containers
				if tc.want == "" && (len(left) != 1 || left[0].Status != "running") || tc.want != "" && len(left) != 0 {
					t.Errorf("containers: %+v", left)
				}
				volumes, err := clientOf(t, s).Volumes(t.Context(), "pve1", "local", "vztmpl")
				if err != nil || len(volumes) != 1 { // the administrator's own
					t.Errorf("templates: %v, %v", volumes, err)
				}
			})
		})
	}
}

func TestInterruptedMakingTidiesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pve.New(pve.Options{MayUpload: true})
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := bootstrap.Make(ctx, clientOf(t, s), making(190)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if left := s.State().Containers; len(left) != 0 {
			t.Errorf("containers: %+v", left)
		}
	})
}
