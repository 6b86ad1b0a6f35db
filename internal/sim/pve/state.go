package pve

import "time"

// Info is what a client needs to use the stand-in.
type Info struct {
	URL              string `json:"url"`         // "https://127.0.0.1:40123"; before Serve "https://<node>:8006"
	Fingerprint      string `json:"fingerprint"` // SHA-256 of the certificate, "AA:BB:…"
	TokenID          string `json:"token_id"`    // least privileges: facts of PROXMOX_SETUP.md
	TokenSecret      string `json:"token_secret"`
	AdminTokenID     string `json:"admin_token_id"`
	AdminTokenSecret string `json:"admin_token_secret"`
	Node             string `json:"node"`
	Template         int    `json:"template"`
	ResourcePool     string `json:"resource_pool"`
}

// State is all that happened in a server since it was made; GET /_sim/state gives it as JSON.
type State struct {
	VMs []VMState `json:"vms"` // every VM there is or was, by creation
	// Containers are those that there are now, by VMID.
	Containers []ContainerState `json:"containers"`
	Tasks      []TaskState      `json:"tasks"`    // every task, by start
	Requests   []RequestState   `json:"requests"` // every request, by arrival
}

// VMState is one VM's whole life. A VMID that is used again is another VMState.
type VMState struct {
	VMID        int               `json:"vmid"`
	Node        string            `json:"node"`
	Name        string            `json:"name"`
	Pool        string            `json:"pool,omitempty"`
	Template    bool              `json:"template,omitempty"`
	Source      int               `json:"source,omitempty"` // the VMID it was cloned from
	Status      string            `json:"status"`           // running, stopped, destroyed
	Config      map[string]string `json:"config"`           // the last one
	CreatedAt   time.Time         `json:"created_at"`
	CreatedBy   string            `json:"created_by,omitempty"` // token id
	StartedAt   []time.Time       `json:"started_at,omitempty"`
	StoppedAt   []time.Time       `json:"stopped_at,omitempty"`
	DestroyedAt *time.Time        `json:"destroyed_at,omitempty"`
	DestroyedBy string            `json:"destroyed_by,omitempty"`
	Decoy       string            `json:"decoy,omitempty"` // the kind of decoy; "" for none
	// DigestStart and DigestNow cover the whole configuration, the resource pool, the power state and whether the
	// VM exists: equal means that nobody touched it. Only decoys and templates have them.
	DigestStart string `json:"digest_start,omitempty"`
	DigestNow   string `json:"digest_now,omitempty"`
}

// TaskState is one task.
type TaskState struct {
	UPID       string     `json:"upid"`
	Type       string     `json:"type"`
	Token      string     `json:"token"`
	StartedAt  time.Time  `json:"started_at"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	ExitStatus string     `json:"exit_status,omitempty"`
}

// RequestState is one request and its answer. Bodies are never kept: they may hold secrets.
type RequestState struct {
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"took_ns"`
	Method string        `json:"method"`
	Path   string        `json:"path"` // with the query
	Token  string        `json:"token,omitempty"`
	Status int           `json:"status"` // 0: no reply was sent (a fault)
	Reason string        `json:"reason,omitempty"`
	Node   string        `json:"node,omitempty"`
	VMID   int           `json:"vmid,omitempty"`
	NewID  int           `json:"newid,omitempty"` // of a clone
	Fault  string        `json:"fault,omitempty"`
}
