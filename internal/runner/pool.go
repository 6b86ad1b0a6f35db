package runner

import (
	"slices"
	"strings"
	"time"
)

// SelfHosted is the label that workflows put first in runs-on. GitHub adds it to runners that config.sh registers but
// not to JIT runners, so Mayfly puts it into their labels itself.
const SelfHosted = "self-hosted"

// Pool is a named kind of runner: whom it serves, what its VMs look like, and its limits.
type Pool struct {
	Name string
	// Target is the repository that it serves, the first of them where More names others.
	Target Target
	// More are further repositories that it serves. A runner is registered at one of all, that of the job it is made for.
	More []Target
	// Labels are what its runners offer beside "self-hosted".
	Labels []string
	// AcceptUnlabeled lets jobs whose runs-on names only a runner group (an empty label list) count as demand.
	AcceptUnlabeled bool
	// GroupID is the runner group that runners join. 1 is "Default", the only one a repository has.
	GroupID int64
	// NamePrefix begins every runner's name.
	NamePrefix string
	// Jobs says which jobs may run on it.
	Jobs Policy
	// Template is the name of the Proxmox VM template; "" where the pool follows an image.
	Template string
	// Image is the name of an image that Mayfly builds ("debian-12"): the pool's runners are cloned from its promoted
	// version. "" where Template names a template.
	Image string
	// Nodes are the Proxmox nodes that its runners may live on; none is every node of the fleet.
	Nodes []string
	// Max is how many VMs the pool may have at once, whatever their state.
	Max int
	// Priority puts the pool's jobs before those of pools with a lower one when not all can have runners; 0 is usual.
	Priority int
	// Share is the part of the fleet's limit, in percent, that other pools leave to this one while its jobs wait; 0 for
	// none.
	Share int
	// RunnerUser is the unprivileged user in the guest that runs the job.
	RunnerUser string
	// Cores, Memory and Disk override the template's size; 0 keeps it. Disk is that of the disk that the VM boots from,
	// which can only grow.
	Cores  int
	Memory Bytes
	Disk   Bytes
	// FullClone copies the whole disk instead of linking to the template's; Storage says where to ("" is the
	// template's storage; Proxmox refuses a storage for a linked clone).
	FullClone bool
	Storage   string
	// BootTimeout bounds the time from clone to "guest ready"; GitHub cancels an assignment after 5 minutes.
	BootTimeout time.Duration
	// IdleTimeout is how long a runner that nothing asks for may wait for a job.
	IdleTimeout time.Duration
	// MinIdle is how many registered runners wait for a job beside those for jobs that wait now, and BootedSpares how many
	// VMs are up and wait for an identity. The rules of the schedules (package schedule) say when other numbers hold; they
	// are of the wall clock in TimeZone, a name of the IANA list.
	MinIdle              int
	MinIdleSchedule      []string
	BootedSpares         int
	BootedSparesSchedule []string
	TimeZone             string
	// SpareMaxAge is how old a booted spare or an idle runner gets before another takes its place; 0 for any age.
	SpareMaxAge time.Duration
	// MaxJobDuration is how long a VM may live with its job before it is destroyed. GitHub's own limit for
	// self-hosted runners is 5 days.
	MaxJobDuration time.Duration
}

// Targets are the repositories that the pool serves, in their order.
func (p Pool) Targets() []Target { return append([]Target{p.Target}, p.More...) }

// TargetList names them for people.
func (p Pool) TargetList() string {
	names := make([]string, 0, 1+len(p.More))
	for _, t := range p.Targets() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// At reports whether the pool serves the repository.
func (p Pool) At(t Target) bool { return t == p.Target || slices.Contains(p.More, t) }

// RegistrationLabels are the labels that a runner of the pool registers with: "self-hosted" and the pool's own,
// without repetition.
func (p Pool) RegistrationLabels() []string {
	labels := []string{SelfHosted}
	for _, l := range p.Labels {
		if !containsFold(labels, l) {
			labels = append(labels, l)
		}
	}
	return labels
}

// Serves reports whether a runner of the pool could take the job: a target of the pool's, and every label of the job among
// the pool's, compared case-insensitively. A job without labels matches only where the pool says so.
func (p Pool) Serves(j Job) bool {
	if !p.At(j.Target) {
		return false
	}
	if len(j.Labels) == 0 {
		return p.AcceptUnlabeled
	}
	for _, l := range j.Labels { // among RegistrationLabels, without making them: a queue may be long
		if !strings.EqualFold(l, SelfHosted) && !containsFold(p.Labels, l) {
			return false
		}
	}
	return true
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

// Base names what the pool's runners are cloned from: the template's name, or "image " and the image's. No template's
// name holds a space.
func (p Pool) Base() string {
	if p.Image != "" {
		return "image " + p.Image
	}
	return p.Template
}

// RunsOn reports whether the pool's runners may live on the node.
func (p Pool) RunsOn(node string) bool {
	return len(p.Nodes) == 0 || slices.Contains(p.Nodes, node)
}
