package sim

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"sync"
	"time"
)

// kind is a way in which a call goes wrong.
type kind string

// The kinds. Those of the first group are without effect, those of the second lose or harm the reply only.
const (
	none        kind = ""
	kindRefused kind = "refused"
	kindReset   kind = "reset"
	kindHang    kind = "hangs"
	kindSlow    kind = "slow"
	kind401     kind = "401" // only of a side as a whole
	kind500     kind = "500"
	kind502     kind = "502"
	kind503     kind = "503"
	kind595     kind = "595"
	kind596     kind = "596"

	kindLost     kind = "reply lost"
	kindLate     kind = "reply late"
	kindMute     kind = "no reply"
	kindHalf     kind = "half a reply"
	kind596After kind = "596 after the effect"
	kind502After kind = "502 after the effect"
)

// status is what the kinds that are a reply say.
func (k kind) status() int {
	n := 0
	_, _ = fmt.Sscanf(string(k), "%d", &n)
	return n
}

// kindsOf are what can go wrong on a side.
func kindsOf(side string) []kind {
	if side == toProxmox {
		return []kind{kindRefused, kindReset, kindHang, kindSlow, kind500, kind595, kind596, kindLost, kindLate, kindMute, kindHalf, kind596After}
	}
	return []kind{kindRefused, kindReset, kindHang, kindSlow, kind500, kind502, kind503, kindLost, kindLate, kindMute, kindHalf, kind502After}
}

// faultPlan decides which calls go wrong: by a hash of the seed, the route, the object and how often that was called, so
// that neither the order of goroutines nor another fault changes it.
type faultPlan struct {
	seed uint64
	// rate is how many of a thousand changes go wrong; of what is only read, fewer.
	rate  float64
	until time.Time // no fault from then on

	mu       sync.Mutex
	attempts map[string]int
	// only, when set, are the only faults that may happen: a smaller run of the same seed.
	only  map[string]bool
	fired []string
	cover map[string]int // by side, route and kind
	calls map[string]int // by side and route
}

func newFaultPlan(seed uint64, rate float64, until time.Time, only []string) *faultPlan {
	p := &faultPlan{seed: seed, rate: rate, until: until, attempts: map[string]int{}, cover: map[string]int{}, calls: map[string]int{}}
	if only != nil {
		p.only = map[string]bool{}
		for _, id := range only {
			p.only[id] = true
		}
	}
	return p
}

// decide says how the call goes wrong.
func (p *faultPlan) decide(c *call) kind {
	p.mu.Lock()
	defer p.mu.Unlock()
	object := c.side + " " + c.method + " " + c.path
	p.attempts[object]++
	p.calls[c.side+" "+c.route]++
	if !time.Now().Before(p.until) {
		return none
	}
	rate := p.rate
	if c.method == http.MethodGet {
		rate /= 8
	}
	if more, is := rare[c.route]; is {
		rate *= more
	}
	n := p.attempts[object]
	if c.newID() != "" { // clones of a template differ by what they make
		object += " " + c.newID()
	}
	if chance(p.seed, object, n, "whether")*1000 >= rate {
		return none
	}
	kinds := kindsOf(c.side)
	k := kinds[int(chance(p.seed, object, n, "how")*float64(len(kinds)))]
	if !p.fire(fmt.Sprintf("%s#%d/%s", object, n, k)) {
		return none
	}
	p.cover[c.side+" "+c.route+" | "+string(k)]++
	return k
}

// fire notes a fault; false when this run must not have it. The caller holds mu.
func (p *faultPlan) fire(id string) bool {
	if p.only != nil && !p.only[id] {
		return false
	}
	p.fired = append(p.fired, id)
	return true
}

// trouble asks for a fault that isn't a call's, and notes it.
func (p *faultPlan) trouble(name, object string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.fire(name + " " + object) {
		return false
	}
	p.cover["world | "+name]++
	return true
}

func (c *call) newID() string { return c.form.Get("newid") }

// chance is a number in [0, 1) that depends on nothing but its arguments.
func chance(seed uint64, parts ...any) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, seed)
	for _, p := range parts {
		fmt.Fprint(h, "\x00", p)
	}
	x := h.Sum64() // FNV spreads its last bytes badly over the high bits; MurmurHash3's finaliser does it
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// between is a whole number from low to high, both included.
func between(low, high int, seed uint64, parts ...any) int {
	return low + int(chance(seed, parts...)*float64(high-low+1))
}

// side of a row of the coverage table.
func sideOf(row string) string {
	side, _, _ := strings.Cut(row, " ")
	return side
}
