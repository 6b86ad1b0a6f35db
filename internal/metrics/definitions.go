package metrics

import "slices"

// Kind is the kind of a metric, in Prometheus's words.
type Kind string

// The kinds.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Metric says what a metric is.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string
}

// The metrics. A time is in seconds since 1970 where the name says timestamp.
var (
	buildInfo = Metric{"mayfly_build_info", Gauge, []string{"version", "commit", "go_version"}, "1, with the running program's version."}
	ready     = Metric{"mayfly_ready", Gauge, nil, "1 while new jobs can be served, as /readyz says."}
	lastPass  = Metric{"mayfly_last_pass_timestamp_seconds", Gauge, nil, "When the controller last planned; it does so at least once in each poll interval."}
	standby   = Metric{"mayfly_standby", Gauge, nil, "1 while this dispatcher leaves the work to another one of its installation."}
	rivals    = Metric{"mayfly_rivals", Gauge, nil, "Other dispatchers at work on the same installation by mistake."}
	warnings  = Metric{"mayfly_warnings", Gauge, nil, "Warnings of /status: what will keep jobs from being served if nobody does anything."}

	stageDuration = Metric{
		"mayfly_stage_duration_seconds", Histogram,
		[]string{"stage", "pool", "node", "result"},
		"How long a stage of a job's or a runner's life took. result is ok, failed (the runner was given up in it) or unused (nobody needed it any more).",
	}
	failures = Metric{
		"mayfly_failures_total", Counter,
		[]string{"stage", "cause", "pool", "node"},
		"What went wrong, tried again or not, by the stage that the runner was in.",
	}

	runners     = Metric{"mayfly_runners", Gauge, []string{"pool", "state", "node"}, "Runners by state; a combination that there is none of is missing."}
	poolMax     = Metric{"mayfly_pool_max_runners", Gauge, []string{"pool"}, "How many runners the pool may have at once."}
	demandJobs  = Metric{"mayfly_demand_jobs", Gauge, []string{"pool", "state"}, "Jobs that wait for the pool or run on it; pool is empty for jobs that no pool takes. state is waiting or running."}
	waitingJobs = Metric{"mayfly_waiting_jobs", Gauge, []string{"pool", "code"}, "Waiting jobs by why they wait; a combination that there is none of is missing. The codes are those of docs/troubleshooting.md."}
	oldestJob   = Metric{"mayfly_oldest_waiting_job_age_seconds", Gauge, nil, "How long ago the oldest waiting job was created; 0 when none waits. GitHub cancels a job after 24 hours."}

	maxRunners  = Metric{"mayfly_max_runners", Gauge, nil, "How many runners there may be at once in all pools together."}
	vmids       = Metric{"mayfly_vmids", Gauge, nil, "VMIDs of the installation's range."}
	vmidsFree   = Metric{"mayfly_vmids_free", Gauge, nil, "VMIDs that the next runner could have."}
	nodeUp      = Metric{"mayfly_node_up", Gauge, []string{"node"}, "1 while new runners may be made on the node: it is online, answers, and is neither in maintenance nor cordoned."}
	nodeMemory  = Metric{"mayfly_node_memory_free_bytes", Gauge, []string{"node"}, "Memory that new runners on the node may still be promised; missing where the token may not know (Sys.Audit on the node)."}
	nodeCores   = Metric{"mayfly_node_cores_taken", Gauge, []string{"node"}, "Cores of running runners on the node."}
	quarantined = Metric{"mayfly_quarantined_vms", Gauge, nil, "VMIDs set aside until an administrator has typed the command that /status tells."}
	cordoned    = Metric{"mayfly_cordoned", Gauge, []string{"kind", "node"}, "What is left alone for a while because VMs kept failing there. kind is node, storage or template; node is empty for a storage that nodes share. A combination that there is none of is missing."}
	unclaimed   = Metric{"mayfly_unclaimed_vms", Gauge, nil, "VMs in the range that aren't provably ours; they are never touched."}

	rogues = Metric{"mayfly_rogue_runners", Gauge, nil, "Registrations that take the pools' jobs or have our kind of name and that this installation didn't make; they are never touched."}

	sourceUp     = Metric{"mayfly_source_up", Gauge, []string{"source"}, "1 while the source answers as it should. source is proxmox or github."}
	lastPoll     = Metric{"mayfly_last_successful_poll_timestamp_seconds", Gauge, []string{"source", "target"}, "When the source last answered a poll. target is the repository, empty for Proxmox."}
	polls        = Metric{"mayfly_polls_total", Counter, []string{"source", "target"}, "Polls of the source, good and bad."}
	pollFailures = Metric{"mayfly_poll_failures_total", Counter, []string{"source", "target"}, "Polls of the source that failed."}

	apiRequests = Metric{
		"mayfly_api_requests_total", Counter,
		[]string{"side", "method", "route", "status"},
		"Requests to the APIs. route has * for what varies; status is the HTTP status, or error when there was no reply.",
	}
	apiDuration  = Metric{"mayfly_api_request_duration_seconds", Histogram, []string{"side", "method", "route"}, "Time from sending a request to the head of its reply."}
	apiInFlight  = Metric{"mayfly_api_requests_in_flight", Gauge, []string{"side"}, "Requests that have no reply yet. Of Proxmox at most three a node are made at once."}
	rateLimit    = Metric{"mayfly_github_rate_limit", Gauge, nil, "Requests that GitHub allows in an hour; missing while it has told none."}
	rateLeft     = Metric{"mayfly_github_rate_limit_remaining", Gauge, nil, "Requests left in GitHub's present hour. Polls stop at the reserve of 200."}
	rateReset    = Metric{"mayfly_github_rate_limit_reset_timestamp_seconds", Gauge, nil, "When GitHub's present hour ends."}
	githubPaused = Metric{"mayfly_github_paused_seconds", Gauge, nil, "For how long polls of GitHub are still held back by a limit; 0 when they aren't."}
)

// All lists every metric of ours in the order of docs/metrics.md. Those of the Go runtime and of the process come beside
// them, by the names that Prometheus's own library gives them.
func All() []Metric {
	return slices.Concat(
		[]Metric{buildInfo, ready, lastPass, standby, rivals, warnings},
		[]Metric{stageDuration, failures},
		[]Metric{runners, poolMax, demandJobs, waitingJobs, oldestJob},
		[]Metric{maxRunners, vmids, vmidsFree, nodeUp, nodeMemory, nodeCores, quarantined, cordoned, unclaimed, rogues},
		[]Metric{sourceUp, lastPoll, polls, pollFailures},
		[]Metric{apiRequests, apiDuration, apiInFlight, rateLimit, rateLeft, rateReset, githubPaused},
	)
}
