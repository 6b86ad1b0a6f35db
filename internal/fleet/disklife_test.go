package fleet_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/runner"
)

// resizes counts what was asked of disks.
func (b *bench) resizes() int {
	n := 0
	for _, r := range b.pve.Requests() {
		if r.Method == http.MethodPut && strings.HasSuffix(r.Path, "/resize") {
			n++
		}
	}
	return n
}

// TestDiskOfAPool: clones get the disk that their pool asks for before they start, or the template's where that is
// larger, and nothing is asked of a disk that has its size.
func TestDiskOfAPool(t *testing.T) {
	for _, tc := range []struct {
		name    string
		disk    runner.Bytes
		shows   string
		resizes int
		warns   string
	}{
		{name: "the template's", shows: "size=8G"},
		{name: "the same", disk: 8 * runner.GiB, shows: "size=8G"},
		{name: "larger", disk: 64 * runner.GiB, shows: "size=64G", resizes: 2},
		{name: "smaller", disk: 4 * runner.GiB, shows: "size=8G", warns: "has 8.0 GiB: disks don't shrink"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { s.spec.Pools[0].Disk = tc.disk })
				b.queue(2, 5*time.Minute)
				b.until(5*time.Minute, "both jobs run", func() bool { return count(b, "in_progress") == 2 })
				for _, v := range b.runners() {
					if !strings.Contains(v.Config["scsi0"], tc.shows) {
						t.Errorf("VM %d has %s, want %s", v.VMID, v.Config["scsi0"], tc.shows)
					}
				}
				if w := strings.Join(b.controller.Status().Warnings, "\n"); (w != "") != (tc.warns != "") || !strings.Contains(w, tc.warns) {
					t.Errorf("warnings %q, want %q", w, tc.warns)
				}
				b.served(time.Hour)
				b.succeeded()
				b.made(2, 2)
				if n := b.resizes(); n != tc.resizes {
					t.Errorf("disks were resized %d times, want %d", n, tc.resizes)
				}
				if n := strings.Count(b.log.String(), "disk not as configured"); (n == 1) != (tc.warns != "") || n > 1 {
					t.Errorf("it was said %d times", n)
				}
			})
		})
	}
}

// TestLostReplyOfAResize: the task is found, or what it did, and nothing is asked twice.
func TestLostReplyOfAResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.Pools[0].Disk = 64 * runner.GiB })
		var lost atomic.Int32
		lose := func(req *http.Request) bool {
			return req.Method == http.MethodPut && strings.HasSuffix(req.URL.Path, "/resize") && lost.Add(1) == 1
		}
		b.toProxmox.lose.Store(&lose)
		b.queue(1, time.Minute)
		b.served(time.Hour)
		b.succeeded()
		b.made(1, 1)
		if n := b.resizes(); n != 1 || lost.Load() < 1 {
			t.Errorf("the disk was resized %d times, %d replies asked after", n, lost.Load())
		}
	})
}
