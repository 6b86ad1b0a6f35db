package runnerproto

import (
	"encoding/json"
	"strings"
	"time"
)

// Times of the protocol. They are those of the real runner and service, as far as those are known.
const (
	// MaxPoll is how long a poll for messages is held at most (the broker's is 50 s).
	MaxPoll = 50 * time.Second
	// RenewInterval is how often a runner renews the lease of its job (actions/runner JobDispatcher.cs: 60 s).
	RenewInterval = 60 * time.Second
	// OfflineAfter is the silence after which a session no longer makes its registration online.
	OfflineAfter = 30 * time.Second
)

// SessionRequest opens a session: POST {base}/sessions.
type SessionRequest struct {
	OwnerName     string `json:"ownerName"`
	RunnerVersion string `json:"runnerVersion"`
	OS            string `json:"os,omitempty"`
}

// Session is the reply to [SessionRequest].
type Session struct {
	SessionID string `json:"sessionId"`
}

// Message is what a poll brings: GET {base}/message?sessionId=S.
type Message struct {
	// Type is [JobRequest] or [JobCancellation].
	Type  string `json:"messageType"`
	JobID int64  `json:"jobId"`
	RunID int64  `json:"runId"`
	// Name is the job's, Workflow its workflow's.
	Name       string `json:"name"`
	Workflow   string `json:"workflow,omitempty"`
	Repository string `json:"repository"`
	// ServerURL is the base of what a person would open in a browser, APIURL that of the REST API.
	ServerURL string `json:"serverUrl"`
	APIURL    string `json:"apiUrl,omitempty"`
	Event     string `json:"event,omitempty"`
	Actor     string `json:"actor,omitempty"`
	Ref       string `json:"ref,omitempty"`
	SHA       string `json:"sha,omitempty"`
	Attempt   int    `json:"attempt,omitempty"`
	RunNumber int    `json:"runNumber,omitempty"`
	// Payload is the event's webhook payload: what GITHUB_EVENT_PATH holds.
	Payload json.RawMessage `json:"payload,omitempty"`
	// Steps are run in order; Env is in their environment.
	Steps []Step            `json:"steps"`
	Env   map[string]string `json:"env"`
	// DurationMS is how long the job lasts beside its steps, in milliseconds.
	DurationMS int64 `json:"durationMs,omitempty"`
	// Fail makes a job that was told only a duration end as failed.
	Fail bool `json:"fail,omitempty"`
}

// Duration is DurationMS.
func (m Message) Duration() time.Duration { return time.Duration(m.DurationMS) * time.Millisecond }

// The types of messages; the names are those of the real broker.
const (
	JobRequest      = "RunnerJobRequest"
	JobCancellation = "JobCancellation"
)

// Step is one step of a job: a shell script, and the condition that it runs under ("" is "success()").
type Step struct {
	Name string `json:"name"`
	Run  string `json:"run"`
	If   string `json:"if,omitempty"`
}

// Runs reports whether a step runs in a job of that state (GitHub docs, "Status check functions"); known is false for a
// condition that isn't one of them.
func (s Step) Runs(failed, cancelled bool) (runs, known bool) {
	switch strings.ReplaceAll(s.If, " ", "") {
	case "", "success()":
		return !failed && !cancelled, true
	case "failure()":
		return failed && !cancelled, true
	case "cancelled()":
		return cancelled, true
	case "!cancelled()":
		return !cancelled, true
	case "always()":
		return true, true
	}
	return false, false
}

// Lease is the reply to POST {base}/jobs/{id}/renew.
type Lease struct {
	LockedUntil time.Time `json:"lockedUntil"`
	// Cancelled says that somebody wants the job cancelled: stop it and complete it as cancelled.
	Cancelled bool `json:"cancelled"`
}

// LogRequest is the body of POST {base}/jobs/{id}/log.
type LogRequest struct {
	Text string `json:"text"`
}

// CompleteRequest is the body of POST {base}/jobs/{id}/complete.
type CompleteRequest struct {
	Result Result `json:"result"`
}

// Result is how a job ended.
type Result string

// The results.
const (
	Succeeded Result = "succeeded"
	Failed    Result = "failed"
	Cancelled Result = "cancelled"
)

// ErrorBody is the JSON of every refusal.
type ErrorBody struct {
	TypeName string `json:"typeName"`
	Message  string `json:"message"`
}

// RegisterRequest is the body of POST {api}/actions/runner-registration, the way of config.sh.
type RegisterRequest struct {
	URL             string   `json:"url"`
	Name            string   `json:"name"`
	Labels          []string `json:"labels"`
	Ephemeral       bool     `json:"ephemeral"`
	DisableUpdate   bool     `json:"disableUpdate"`
	Replace         bool     `json:"replace"`
	NoDefaultLabels bool     `json:"noDefaultLabels"`
	RunnerGroup     string   `json:"runnerGroup,omitempty"`
	WorkFolder      string   `json:"workFolder,omitempty"`
}

// Registered is the reply to [RegisterRequest].
type Registered struct {
	JIT string `json:"jit"`
}
