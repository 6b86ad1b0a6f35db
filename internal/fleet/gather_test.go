package fleet_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLockedRunnerCostsNoMoreReadsThanAnyOther: a backup may hold its lock for hours.
func TestLockedRunnerCostsNoMoreReadsThanAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(1, 40*time.Minute)
		v := b.busy()
		reads := func() int {
			from := len(b.pve.Requests())
			time.Sleep(10 * time.Minute)
			n := 0
			for _, r := range b.pve.Requests()[from:] {
				if r.VMID == v.VMID && r.Method == http.MethodGet && strings.HasSuffix(r.Path, "/config") {
					n++
				}
			}
			return n
		}
		usual := reads()
		b.lock(v.VMID, "backup")
		if n := reads(); n > usual+1 {
			t.Errorf("its config was read %d times in 10 minutes under a lock, %d times without", n, usual)
		}
		b.lock(v.VMID, "")
		b.served(2 * time.Hour)
		b.succeeded()
	})
}
