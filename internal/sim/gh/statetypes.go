package gh

import "time"

// State is all that happened so far: what GET /_sim/state gives. It holds no secret.
type State struct {
	Now      time.Time       `json:"now"`
	Jobs     []JobState      `json:"jobs"`
	Runners  []RunnerState   `json:"runners"`
	Requests []RequestRecord `json:"requests"`
}

// JobState is a job that is or was.
type JobState struct {
	ID         int64    `json:"id"`
	RunID      int64    `json:"run_id"`
	Attempt    int      `json:"run_attempt"`
	Name       string   `json:"name"`
	Repository string   `json:"repository"`
	Labels     []string `json:"labels"`
	Status     string   `json:"status"`
	Conclusion string   `json:"conclusion"` // "" until completed
	// Reason says why the stand-in itself ended the job ("lost communication", "cancelled"), else "".
	Reason      string    `json:"reason,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	AssignedAt  time.Time `json:"assigned_at,omitzero"` // the last time
	StartedAt   time.Time `json:"started_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	RunnerID    int64     `json:"runner_id"` // 0 until assigned
	RunnerName  string    `json:"runner_name"`
	// Assigned and Starts say how often the job was given to a runner and how often it was started.
	Assigned int    `json:"assigned"`
	Starts   int    `json:"starts"`
	Log      string `json:"log,omitempty"`
}

// RunnerState is a registration that is or was.
type RunnerState struct {
	ID         int64     `json:"id"`
	Name       string    `json:"name"`
	Scope      string    `json:"scope"` // "OWNER/REPO" or "ORGANIZATION"
	Labels     []string  `json:"labels"`
	Ephemeral  bool      `json:"ephemeral"`
	Version    string    `json:"version,omitempty"`
	Online     bool      `json:"online"`
	Busy       bool      `json:"busy"`
	CreatedAt  time.Time `json:"created_at"`
	FirstSeen  time.Time `json:"first_seen,omitzero"`
	LastSeen   time.Time `json:"last_seen,omitzero"`
	RemovedAt  time.Time `json:"removed_at,omitzero"`
	RemovedWhy string    `json:"removed_why,omitempty"`
	// Jobs are the ids of the jobs that it started.
	Jobs []int64 `json:"jobs"`
}

// RequestRecord is a request that was received, whoever made it.
type RequestRecord struct {
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"` // with the query
	Status int       `json:"status"`
	// Login is whose token it was, "" for none, an unknown one or a runner's.
	Login string `json:"login,omitempty"`
	// Fault is the fault that was played on it.
	Fault string `json:"fault,omitempty"`
}
