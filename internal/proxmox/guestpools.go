package proxmox

import (
	"strconv"
	"sync"
)

// guestPools remember which resource pool guests were last seen in, or were made in: a refusal names the guest, the grant that
// is missing is its pool's.
type guestPools struct {
	mu sync.Mutex
	of map[int]string
}

func (g *guestPools) poolOf(vmid int) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of[vmid]
}

func (g *guestPools) note(vmid int, pool string) {
	if vmid == 0 || pool == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of[vmid] = pool
}

// saw notes guests of a list.
func (g *guestPools) saw(list []Resource) {
	for _, r := range list {
		g.note(r.VMID, r.Pool)
	}
}

// ordered notes the guest that a call makes.
func (g *guestPools) ordered(r call) {
	if vmid, err := strconv.Atoi(madeBy(r)); err == nil {
		g.note(vmid, r.params.Get("pool"))
	}
}

// madeBy is the VMID of the guest that a call makes: of a clone newid, else vmid; "" for other calls.
func madeBy(r call) string {
	if id := r.params.Get("newid"); id != "" {
		return id
	}
	return r.params.Get("vmid")
}
