package proxmox

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock is how far the clock of the node that answered last is ahead of ours.
type clock struct {
	ahead atomic.Int64 // nanoseconds
	told  atomic.Bool
}

// note reads the Date of a reply to a request that began then and took so long. The header has whole seconds: half of one is
// the best guess of what it cut off.
func (c *clock) note(h http.Header, began time.Time, took time.Duration) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	c.ahead.Store(int64(date.Add(time.Second / 2).Sub(began.Add(took / 2))))
	c.told.Store(true)
}

// NodeTime turns a time of this machine's into what the clock of the node that answered last shows then, good to about a second;
// until a reply has told its time, the two are the same. The nodes of a cluster keep the same time among themselves (Proxmox VE
// Administration Guide, "Time Synchronization").
func (c *Client) NodeTime(t time.Time) time.Time { return t.Add(time.Duration(c.clock.ahead.Load())) }

// Skew is how far the clock of the node that answered last is ahead of this machine's, good to about a second; negative when
// it is behind. ok is false while no reply has told a time.
func (c *Client) Skew() (ahead time.Duration, ok bool) {
	return time.Duration(c.clock.ahead.Load()), c.clock.told.Load()
}
