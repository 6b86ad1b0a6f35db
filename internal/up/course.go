package up

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// course is one job on its way, as far as it was told.
type course struct {
	*FirstJob
	job   runner.Job
	began time.Time
	last  time.Duration // the latest time that was told; the lines go forward
	// limit is when the job began: what is seen only afterwards was so by then. 0 until it has.
	limit time.Duration
	quiet bool // it ran already when the watch began: how it came to that isn't known

	name       string // the runner that was seen for it; "" for none yet
	vmid       int
	node       string
	on, online bool // the VM runs, the runner is registered and online
	taken      bool // the job is in progress
	why        string
}

// watch tells the job's course. It ends with what became of it, or with "" when it didn't run on a runner of ours.
func (c *course) watch(ctx context.Context) (string, error) {
	c.quiet = c.job.RunnerName != ""
	c.tell(0, fmt.Sprintf("%s of %s is queued", title(c.job), c.job.Target))
	jobs, runners, vms := silence{f: c.FirstJob}, silence{f: c.FirstJob}, silence{f: c.FirstJob}
	for {
		report, err := c.GitHub.Job(ctx, c.job.Target, c.job.ID)
		if errors.Is(err, github.NotFound) {
			c.tell(c.now(), "the job is gone: its run was deleted")
			return "", nil
		}
		if err := jobs.judge(ctx, "GitHub", err); err != nil {
			return "", err
		}
		if report.RunnerName != "" && !c.ours(c.job.Target, report.RunnerName) {
			c.tell(c.now(), fmt.Sprintf("the job went to runner %s, which isn't ours", report.RunnerName))
			return "", nil
		}
		if !report.Started.IsZero() {
			c.limit = max(c.at(report.Started), 0)
		}
		busy, err := c.lookAtRunners(ctx)
		if err := runners.judge(ctx, "GitHub", err); err != nil {
			return "", err
		}
		if err := vms.judge(ctx, "Proxmox", c.lookAtVM(ctx, report.RunnerName, busy)); err != nil {
			return "", err
		}
		switch {
		case report.Status == runner.JobCompleted:
			return c.end(ctx, report)
		case report.Status == runner.JobInProgress && !c.taken:
			c.take(report)
		case c.name == "":
			if err := c.waits(); err != nil {
				return "", err
			}
		}
		if err := sleep(ctx, look); err != nil {
			return "", err
		}
	}
}

// tell writes a line with the time since the job was created.
func (c *course) tell(at time.Duration, text string) {
	c.last = max(c.last, at)
	c.Out.at(c.last, text)
}

// notice is tell of what came before the job's begin.
func (c *course) notice(text string) {
	at := c.now()
	if c.limit != 0 {
		at = min(at, c.limit)
	}
	if !c.quiet {
		c.tell(at, text)
	}
}

// now and at are times since the job's creation, by GitHub's clock.
func (c *course) now() time.Duration { return c.at(time.Now().Add(c.GitHub.Skew())) }

func (c *course) at(t time.Time) time.Duration { return t.Sub(c.job.CreatedAt) }

// lookAtVM looks for the runner's VM, or, while no runner has the job, for one whose runner could take it and isn't busy with
// another, and tells what has changed about it.
func (c *course) lookAtVM(ctx context.Context, name string, busy map[string]bool) error {
	if name != "" && name != c.name {
		c.forget(name)
	}
	list, err := c.Proxmox.Resources(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.Type != "qemu" || r.Template || !c.Spec.VMIDs.Contains(r.VMID) || c.vmid != 0 && c.vmid != r.VMID {
			continue
		}
		cfg, err := c.Proxmox.VMConfig(ctx, r.Node, r.VMID)
		if errors.Is(err, proxmox.NotFound) || errors.Is(err, proxmox.Permission) {
			continue // gone, or not for us
		}
		if err != nil {
			return err
		}
		marker, err := fleet.Claim(c.Spec, r.VMID, cfg, r.Pool)
		if err != nil || c.name != "" && marker.Runner != c.name || c.name == "" && (busy[marker.Runner] || !c.could(marker)) {
			continue
		}
		if c.vmid == 0 {
			c.name, c.vmid, c.node = marker.Runner, r.VMID, r.Node
			c.notice(fmt.Sprintf("VM %d on %s is cloned for runner %s", r.VMID, r.Node, marker.Runner))
		}
		if !c.on && r.Status == "running" && r.Name == marker.Runner { // else it is the predecessor's, from the last broadcast
			c.runs()
		}
		return nil
	}
	if c.vmid != 0 && !c.taken && name == "" {
		c.tell(c.now(), fmt.Sprintf("VM %d is gone without a job", c.vmid))
		c.forget("")
		c.began = time.Now()
	}
	return nil
}

// forget begins anew with another runner.
func (c *course) forget(name string) {
	c.name, c.vmid, c.node, c.on, c.online = name, 0, "", false, false
}

// could reports whether the runner of a VM could take the job: its pool serves it.
func (c *course) could(m runner.Marker) bool {
	for _, p := range c.Spec.Pools {
		if p.Name == m.Pool && p.Serves(c.job) {
			return true
		}
	}
	return false
}

// lookAtRunners tells when the runner is online at GitHub, and gives the runners that have a job.
func (c *course) lookAtRunners(ctx context.Context) (busy map[string]bool, err error) {
	if c.taken {
		return nil, nil
	}
	list, err := c.GitHub.Runners(ctx, c.job.Target)
	if err != nil {
		return nil, err
	}
	busy = map[string]bool{}
	for _, r := range list {
		busy[r.Name] = r.Busy
		if r.Name == c.name && r.Online && !c.online {
			c.registered()
		}
	}
	return busy, nil
}

func (c *course) runs() {
	c.on = true
	c.notice(fmt.Sprintf("VM %d runs", c.vmid))
}

func (c *course) registered() {
	c.online = true
	c.notice(fmt.Sprintf("runner %s is registered and online", c.name))
}

// take tells that the job has begun, which proves what has not been seen of the way to it.
func (c *course) take(r github.JobReport) {
	if c.vmid != 0 && !c.on {
		c.runs()
	}
	if !c.online {
		c.registered()
	}
	c.taken = true
	where := r.RunnerName
	if c.quiet && c.vmid != 0 {
		where += fmt.Sprintf(" (VM %d on %s)", c.vmid, c.node)
	}
	c.tell(c.at(r.Started), "in progress on "+where)
}

// waits tells why no VM is there yet, and gives up when none comes.
func (c *course) waits() error {
	if c.Why != nil {
		if why := c.Why(c.job.ID); why != "" && why != c.why {
			c.why = why
			c.tell(c.now(), "waits: "+why)
		}
	}
	if time.Since(c.began) < runnerWithin {
		return nil
	}
	why := c.why
	if why == "" {
		why = "no dispatcher makes one, it seems"
	}
	return fmt.Errorf("%s has waited %s without a VM: %s; see the dispatcher's log (%s)", title(c.job), Took(runnerWithin), why, c.Log)
}

// end tells how the job ended, and waits until its VM is gone.
func (c *course) end(ctx context.Context, r github.JobReport) (string, error) {
	if !ran(r) || r.RunnerName == "" {
		c.tell(c.at(r.Completed), fmt.Sprintf("the job ended without having run to its end: %s", r.Conclusion))
		return "", nil
	}
	if !c.taken { // it was quick
		c.take(r)
	}
	c.tell(c.at(r.Completed), "done: "+r.Conclusion)
	if err := c.gone(ctx); err != nil {
		return "", err
	}
	words := fmt.Sprintf("%s waited %s and ran %s on %s: %s", title(c.job), Took(c.at(r.Started)), Took(r.Completed.Sub(r.Started)), r.RunnerName, r.Conclusion)
	if r.Conclusion != "success" {
		words += "; why is in its log: " + r.URL
	}
	return words, nil
}

// gone waits until the job's VM isn't there any more.
func (c *course) gone(ctx context.Context) error {
	if c.vmid == 0 {
		return nil
	}
	silent := silence{f: c.FirstJob}
	for deadline := time.Now().Add(goneWithin); time.Now().Before(deadline); {
		there, err := c.there(ctx)
		if err := silent.judge(ctx, "Proxmox", err); err != nil {
			return err
		}
		if err == nil && !there {
			c.tell(c.now(), fmt.Sprintf("VM %d is gone", c.vmid))
			return nil
		}
		if err := sleep(ctx, look); err != nil {
			return err
		}
	}
	c.Out.Line(fmt.Sprintf("VM %d is still there; the dispatcher destroys it when it can (%s)", c.vmid, c.Log))
	return nil
}

// there reports whether the VM still is the runner's: its VMID may have been given to another.
func (c *course) there(ctx context.Context) (bool, error) {
	cfg, err := c.Proxmox.VMConfig(ctx, c.node, c.vmid)
	switch {
	case errors.Is(err, proxmox.NotFound), errors.Is(err, proxmox.Permission):
		return false, nil
	case err != nil:
		return false, err
	}
	return cfg.Name == c.name, nil
}
