package fleet

import "time"

// Standby is the status of a process that has no controller, because another one holds the installation's lease: reason
// says which. Proxmox is how that side answers; GitHub isn't asked.
func Standby(at time.Time, reason string, proxmox Health) Status {
	return Status{
		At: at, Reasons: []string{reason}, Standby: reason, Proxmox: proxmox, GitHub: Health{Error: "not asked while this process stands by"},
		Warnings: []string{}, Rivals: []RivalStatus{}, Handoffs: []HandoffStatus{}, Runners: []RunnerStatus{}, Waiting: []WaitingStatus{},
		Unclaimed: []UnclaimedStatus{}, Quarantine: []Quarantine{},
	}
}
