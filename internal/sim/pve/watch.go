package pve

import "time"

// Change is something that became of a VM, told to Options.Watch.
type Change struct {
	At   time.Time
	Kind ChangeKind
	VMID int
	Node string
	// By is the token that made or destroyed the VM; "" when it was no token.
	By string
}

// ChangeKind is what became of a VM.
type ChangeKind string

// The changes that are told: the first and the last moment of a VMID's configuration file, and of a machine's life.
const (
	ChangeCreated   ChangeKind = "created"
	ChangeDestroyed ChangeKind = "destroyed"
	ChangeStarted   ChangeKind = "started"
	ChangeStopped   ChangeKind = "stopped"
)

// report tells Options.Watch. The caller holds Server.mu.
func (c *cluster) report(kind ChangeKind, v *vm, by string) {
	if c.watch != nil {
		c.watch(Change{At: time.Now(), Kind: kind, VMID: v.id, Node: v.node, By: by})
	}
}
