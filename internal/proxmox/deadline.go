package proxmox

import "time"

// limit bounds one call: attempt is for one request to one endpoint, call for all attempts and pauses together. The
// caller's context may end either earlier.
type limit struct {
	attempt, call time.Duration
}

// Proxmox's own proxy gives a node or a daemon 30 s and then answers 595 or 596 (pve-http-server AnyEvent.pm, proxy
// timeout). Calls that pass it wait a little longer than that, because its answer says more than our own time-out.
var (
	// local calls are answered by the asked node out of memory, in 10 ms even while another node is dead.
	local = limit{attempt: 10 * time.Second, call: 25 * time.Second}
	// remote calls read on the VM's node, through its proxy and daemon.
	remote = limit{attempt: 33 * time.Second, call: 45 * time.Second}
	// change covers the calls that alter something: a lock is waited for 10 s, writes to /etc/pve hang 7 s while a
	// node dies, and beyond 30 s the proxy answers for the node.
	change = limit{attempt: 33 * time.Second, call: 45 * time.Second}
	// guest covers the guest agent's calls: a ping of 3 s, then 5 s for the command, after a free daemon worker.
	guest = limit{attempt: 33 * time.Second, call: 45 * time.Second}
)

const (
	// dialTimeout bounds connecting and the TLS handshake: both take milliseconds in a LAN, a few hundred through a
	// VPN, and a dead endpoint must leave time for the next.
	dialTimeout = 5 * time.Second
	// idleTimeout must stay below pveproxy's keep-alive of 5 s (AnyEvent.pm, timeout => 5), or a request meets a
	// connection that is just being closed.
	idleTimeout = 4 * time.Second
	// retries is how often a read is sent again after every endpoint had its turn.
	retries = 2
	// firstPause doubles with each retry: enough for a daemon to restart its worker, too short to stall a pass.
	firstPause = 250 * time.Millisecond
	// firstDown and longestDown bound how long an endpoint that didn't answer is left for the others.
	firstDown   = 2 * time.Second
	longestDown = time.Minute
	// firstPoll and longestPoll bound the pause between two looks at a task: a linked clone takes 0.3 s, a full one
	// minutes.
	firstPoll   = 200 * time.Millisecond
	longestPoll = 2 * time.Second
)
