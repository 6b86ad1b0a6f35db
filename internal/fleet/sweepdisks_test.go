package fleet_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/sim/pve"
)

// sticky is an engine that can't remove disks while it sticks.
type sticky struct {
	pve.Engine
	sticks atomic.Bool
}

func (s *sticky) Destroy(ctx context.Context, vmid int) error {
	err := s.Engine.Destroy(ctx, vmid)
	if err == nil && s.sticks.Load() {
		err = errors.New("lvremove: contains a filesystem in use")
	}
	return err
}

// TestADiskThatADestroyLeft has the storage refuse to give up a disk of the first runner.
func TestADiskThatADestroyLeft(t *testing.T) {
	administrator := pve.Token{ID: "all@pve!fleet", Secret: "0e0c3f2a-0000-4000-8000-000000000000", Roles: map[string]string{"/": "Administrator"}}
	for _, tc := range []struct {
		name string
		may  bool
		node string
	}{{"goes where the token may", true, "pve1"}, {"is told of where it may not", false, "pve1"}, {"goes from any node", true, "pve2"}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := &sticky{}
				b := newBench(t, func(s *setup) {
					if tc.node != "pve1" {
						onNodes(s)
						s.spec.Nodes = []string{tc.node}
					}
					s.engine = func(e pve.Engine) pve.Engine { engine.Engine = e; return engine }
					if tc.may {
						s.pve.Tokens, s.as = []pve.Token{administrator}, administrator.ID
					}
				})
				engine.sticks.Store(true)
				b.queue(1, time.Minute)
				b.served(10 * time.Minute)
				engine.sticks.Store(false)
				var left []fleet.LeftDisk
				b.until(80*time.Minute, "it is told of", func() bool { left = b.controller.Status().LeftDisks; return len(left) > 0 })
				if len(left) != 1 || left[0].VMID != 201 || left[0].Command != "pvesm free "+left[0].Volume || left[0].Unseen == tc.may || left[0].Node != tc.node {
					t.Errorf("left: %+v", left)
				}
				for range 8 { // jobs go on meanwhile, on its VMID, too
					b.queue(1, time.Minute)
					time.Sleep(10 * time.Minute)
				}
				b.served(time.Hour)
				deleted := 0
				for _, r := range b.pve.Requests() {
					if r.Method == http.MethodDelete && strings.Contains(r.Path, "/content/") {
						deleted++
						if !strings.Contains(r.Path, "/nodes/"+tc.node+"/") || !strings.Contains(r.Path, "vm-201-disk-0") {
							t.Errorf("%s was deleted", r.Path)
						}
					}
				}
				still := len(b.controller.Status().LeftDisks) > 0
				if gone := deleted == 1 && strings.Contains(b.log.String(), `msg="disk removed"`); gone != tc.may || still == tc.may {
					t.Errorf("deleted %d times, still told of: %v; want it gone: %v", deleted, still, tc.may)
				}
				if n := strings.Count(b.log.String(), `msg="disk left"`); n != 1 {
					t.Errorf("the log tells %d times", n)
				}
			})
		})
	}
}
