package fleet

import (
	"cmp"
	"time"

	"mayfly/internal/runner"
)

// PoolStatus is a pool and how much of it is in use.
type PoolStatus struct {
	Name string `json:"name"`
	// Target is the repository that it serves; several with a comma between.
	Target string   `json:"target"`
	Labels []string `json:"labels"`
	// Template is the template or image that its runners are cloned from.
	Template string `json:"template"`
	// Max is how many runners it may have at once; Runners how many there are, Idle those of them that wait for a job, Busy
	// those that have one.
	Max     int `json:"max"`
	Runners int `json:"runners"`
	Idle    int `json:"idle"`
	Busy    int `json:"busy"`
	// Waiting is how many jobs wait for it.
	Waiting int `json:"waiting"`
}

// CapacityStatus is what all pools share.
type CapacityStatus struct {
	// MaxRunners is how many runners there may be at once, Runners how many there are.
	MaxRunners int `json:"max_runners"`
	Runners    int `json:"runners"`
	// VMIDs is how many VMIDs belong to the installation, VMIDsFree how many of them the next runner could have.
	VMIDs     int `json:"vmids"`
	VMIDsFree int `json:"vmids_free"`
}

// survey counts.
func (c *Controller) survey(s *Status, now time.Time) {
	s.Pools = []PoolStatus{}
	for _, p := range c.spec.Pools {
		s.Pools = append(s.Pools, PoolStatus{
			Name: p.Name, Target: p.TargetList(), Labels: p.RegistrationLabels(), Template: cmp.Or(p.Image, p.Template), Max: p.Max,
		})
	}
	index := map[string]*PoolStatus{}
	for i := range s.Pools {
		index[s.Pools[i].Name] = &s.Pools[i]
	}
	byName := func(name string) *PoolStatus {
		if p := index[name]; p != nil {
			return p
		}
		return &PoolStatus{} // one that isn't configured any more: nobody reads what is counted for it
	}
	runs := c.runsOf(s.Runners)
	for i, r := range s.Runners {
		s.Runners[i].Run = runs[r.Job]
		p := byName(r.Pool)
		p.Runners++
		switch r.State {
		case runner.Idle:
			p.Idle++
		case runner.Busy:
			p.Busy++
		}
	}
	for _, w := range s.Waiting {
		byName(w.Pool).Waiting++
	}
	s.Capacity = CapacityStatus{
		MaxRunners: c.spec.MaxRunners, Runners: len(s.Runners), VMIDs: c.spec.VMIDs.Size(), VMIDsFree: c.spec.VMIDs.Size() - c.notFree(now),
	}
}

// runsOf finds the runs of the jobs that runners have; most of the queue has none.
func (c *Controller) runsOf(runners []RunnerStatus) map[int64]int64 {
	runs := map[int64]int64{}
	for _, r := range runners {
		if r.Job != 0 {
			runs[r.Job] = 0
		}
	}
	if len(runs) == 0 {
		return runs
	}
	for i := range c.queue.demand.Jobs {
		j := &c.queue.demand.Jobs[i]
		if _, has := runs[j.ID]; has {
			runs[j.ID] = j.RunID
		}
	}
	return runs
}

// notFree counts the VMIDs of the range that can't be had now: something has them, or they are set aside, or rest.
func (c *Controller) notFree(now time.Time) int {
	held := map[int]bool{}
	hold := func(vmid int) {
		if c.spec.VMIDs.Contains(vmid) {
			held[vmid] = true
		}
	}
	for id := range c.seen.taken {
		hold(id)
	}
	for id := range c.ledger.runners {
		hold(id)
	}
	for id := range c.ledger.quarantined {
		hold(id)
	}
	for id, until := range c.ledger.heldBack {
		if now.Before(until) {
			hold(id)
		}
	}
	rest := cooldown(c.spec)
	for id, used := range c.ledger.lastUsed {
		if now.Before(used.Add(rest)) {
			hold(id)
		}
	}
	return len(held)
}
