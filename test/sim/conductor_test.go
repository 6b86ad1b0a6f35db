package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// grid is what all configured durations of a world are multiples of. Each turn gets an instant of its own within it, and so
// do the deadlines and waits that begin at that instant: no two timers meet, because timers that fire at the same instant
// fire in random order.
const grid = time.Millisecond

// The instants of the world's own actors within the grid; turns never get these.
const (
	turnSlots = 990_000
	actorSlot = 999_001
)

// onSlot is how long to wait, at least d, until the instant is slot nanoseconds past a point of the grid.
func onSlot(now time.Time, d time.Duration, slot int64) time.Duration {
	at := now.Add(d).UnixNano()
	past := ((slot-at)%int64(grid) + int64(grid)) % int64(grid)
	return time.Duration(at + past - now.UnixNano())
}

// conductor lets what wants to happen at the same instant happen one after the other, in an order that doesn't depend on
// how goroutines are scheduled. Only it calls synctest.Wait: two at once panic.
type conductor struct {
	kick chan struct{}
	stop chan struct{}
	over chan struct{}

	mu     sync.Mutex
	parked []*parked
	turns  int64
	// ties are keys that two wanted at one instant: their order is random.
	ties []string
}

// parked is a goroutine that waits for its turn.
type parked struct {
	key    string
	settle bool
	delay  time.Duration
	go_    chan struct{}
}

func newConductor() *conductor {
	c := &conductor{kick: make(chan struct{}, 1), stop: make(chan struct{}), over: make(chan struct{})}
	go c.run()
	return c
}

func (c *conductor) close() {
	close(c.stop)
	<-c.over
}

func (c *conductor) run() {
	defer close(c.over)
	for {
		select {
		case <-c.kick:
		case <-c.stop:
			return
		}
		for c.step() {
		}
	}
}

// step waits until nothing more happens at this instant, and lets go whoever waits for a turn then; when nobody does, one
// that waits for the rest to settle.
func (c *conductor) step() bool {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.parked) == 0 {
		return false
	}
	slices.SortStableFunc(c.parked, func(a, b *parked) int { return cmp.Compare(a.key, b.key) })
	now, left := time.Now(), c.parked[:0:0]
	var settled *parked
	for i, p := range c.parked {
		if i > 0 && c.parked[i-1].key == p.key {
			c.ties = append(c.ties, p.key)
		}
		if p.settle {
			left = append(left, p)
			continue
		}
		c.turns++
		p.delay = onSlot(now, 1, c.turns%turnSlots)
		close(p.go_)
	}
	if len(left) == len(c.parked) { // nobody else
		settled, left = left[0], left[1:]
		close(settled.go_)
	}
	c.parked = left
	return true
}

func (c *conductor) park(key string, settle bool) *parked {
	p := &parked{key: key, settle: settle, go_: make(chan struct{})}
	c.mu.Lock()
	c.parked = append(c.parked, p)
	c.mu.Unlock()
	select {
	case c.kick <- struct{}{}:
	default:
	}
	<-p.go_
	return p
}

// turn returns at an instant that is nobody else's, with ctx's error if it has ended by then. Who has nothing to do any more
// waits for its instant, too: what it does next would else meet what others do.
func (c *conductor) turn(ctx context.Context, key string) error {
	time.Sleep(c.park(key, false).delay)
	return ctx.Err()
}

// settle returns when all else that happens at this instant has happened.
func (c *conductor) settle(key string) { c.park(key, true) }

// tied tells of the first goroutines that nothing told apart.
func (c *conductor) tied() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ties) == 0 {
		return ""
	}
	return fmt.Sprintf("%d times two goroutines of one name wanted to go on at one instant, first %q", len(c.ties), c.ties[0])
}

// wait waits; false means that ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
