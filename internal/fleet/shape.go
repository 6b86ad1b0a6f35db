package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// shape is all of the configuration that a VM gets from its pool before a job is on it, and that no later step changes.
// Its key is in the VM's marker, so that a restart knows as well as a reload that a warm runner is no longer what a job
// of its pool shall have. The version of an image isn't part of it: the marker names the template, and who promotes a
// version wants the older ones replaced one by one (outOfDate), not refused.
//
// The keys of VMs that live must not change with a release: what is added is left out where it is zero.
type shape struct {
	Base    string       `json:"base"`
	Cores   int          `json:"cores,omitempty"`
	Memory  runner.Bytes `json:"memory,omitempty"`
	Disk    runner.Bytes `json:"disk,omitempty"`
	Full    bool         `json:"full,omitempty"`
	Storage string       `json:"storage,omitempty"`
	User    string       `json:"user,omitempty"`
	// What its job may be is told to the guest with its identity.
	Repositories string `json:"repositories,omitempty"`
	Events       string `json:"events,omitempty"`
	Forks        string `json:"forks,omitempty"`
	Way          Way    `json:"way,omitempty"`
	UserData     string `json:"user_data,omitempty"`
}

// shapeKey is the key of what is cloned for the pool from the template now; "" where no way to hand identities over is
// known yet.
func (s Spec) shapeKey(pool runner.Pool, t *template) string {
	way, seeds := s.seeds(t)
	if way == "" && s.Way == WayAuto {
		return ""
	}
	of := shape{
		Base: pool.Base(), Cores: pool.Cores, Memory: pool.Memory, Disk: pool.Disk, Full: pool.FullClone, Storage: pool.Storage, User: pool.RunnerUser,
		Repositories: pool.Jobs.RepositoryList(), Events: pool.Jobs.EventList(), Forks: pool.Jobs.Forks(), Way: way,
	}
	if seeds {
		of.UserData = s.UserData
	}
	text, err := json.Marshal(of)
	if err != nil {
		panic(fmt.Sprintf("marshal %+v: %v", of, err)) // strings and numbers always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// misfit says why a runner without a job may not get one: its pool makes VMs of another shape now. One of before
// markers told is no misfit, but out of date.
func (p *planner) misfit(e *entry) string {
	if e.shape == "" || !e.busy.IsZero() || e.guestBusy || e.failed != "" || !e.stopped.IsZero() || !e.finished.IsZero() {
		return ""
	}
	pool, known := p.s.Pool(e.pool)
	if !known {
		return ""
	}
	now := p.shapeOf(pool, p.o.supply.baseOf(e, pool)) // as if it were cloned now from the template that it came from
	if now == "" || now == e.shape {
		return ""
	}
	return fmt.Sprintf("its pool makes VMs of another shape now (%s, it has %s)", now, e.shape)
}

// shapeOf is shapeKey, of which nothing but the way to hand an identity over is the template's.
func (p *planner) shapeOf(pool runner.Pool, t *template) string {
	way, _ := p.s.seeds(t)
	of := handed{pool.Name, way}
	key, known := p.shapes[of]
	if !known {
		key = p.s.shapeKey(pool, t)
		p.shapes[of] = key
	}
	return key
}

// handed is a pool and a way in which runners of it get their identities.
type handed struct {
	pool string
	way  Way
}

// misfitGoes says why a runner goes as a misfit now. One that has its identity, or may have it, is let come online first:
// then GitHub's answer tells for sure whether a job has landed on it.
func (p *planner) misfitGoes(e *entry) string {
	why := p.misfit(e)
	if why == "" || e.op != nil || e.cloned.IsZero() {
		return ""
	}
	switch unregistered := e.delivered.IsZero() && e.seeded.IsZero() && !e.minting; {
	case e.state() == runner.Idle:
	case !unregistered, e.adopted && !e.started.IsZero() && e.ready.IsZero():
		return ""
	}
	if (e.adopted || e.registration != 0) && !p.readSince(e, later(e.ready, e.online)) {
		p.d.github = true
		return ""
	}
	return why
}

// wears reports whether the registration has the labels that a runner registers with, and no others but those that
// config.sh adds by itself.
func wears(r runner.Registration, labels []string) bool {
	for _, l := range labels {
		if !hasLabel(r, l) {
			return false
		}
	}
	for _, l := range r.Labels {
		if !hasLabel(runner.Registration{Labels: labels}, l) && !slices.Contains(systemLabels, strings.ToLower(l)) {
			return false
		}
	}
	return true
}

// systemLabels are those that config.sh adds by itself (actions/runner: ConfigurationManager.cs, GetLabels).
var systemLabels = []string{runner.SelfHosted, "linux", "windows", "macos", "x86", "x64", "arm", "arm64"}
