package pve

import (
	"context"
	"encoding/json"
	"fmt"

	"mayfly/internal/runner"
)

// Engine is what stands behind the API: the machines and their disks. The server keeps configurations, locks, tasks and
// privileges; the engine keeps what runs. Calls come from task workers (Agent: from a daemon worker), several at once
// for different machines and never two of Clone, Start, Stop, Destroy at once for one VMID. ctx ends when the server
// closes or the task is stopped, and an engine returns soon after. An error becomes the task's exit status, so it
// reads as Proxmox's would ("start failed: QEMU exited with code 1").
type Engine interface {
	// Clone makes vmid's disks from the template's, inside the qmclone worker. Lines given to log appear in the
	// task's log. On an error, or when ctx ends, it leaves nothing behind.
	Clone(ctx context.Context, template, vmid int, full bool, log func(string)) error
	// Start boots the machine, inside the qmstart worker, and returns once it runs. The engine calls m.Exited, once
	// for each successful Start, when the machine powers off by itself or because of Shutdown; never for Stop.
	Start(ctx context.Context, m Machine) error
	// Stop cuts the power and returns when the machine is gone. A machine that doesn't run is no error.
	Stop(ctx context.Context, vmid int) error
	// Shutdown presses the power button (ACPI, or the agent where there is one) and returns at once.
	Shutdown(ctx context.Context, vmid int) error
	// Destroy removes the machine's disks. A machine without disks is no error.
	Destroy(ctx context.Context, vmid int) error
	// Agent passes a command to the QEMU guest agent in the machine, with its own protocol's names and JSON
	// (guest-ping, guest-exec, guest-exec-status, guest-file-open, guest-file-read, guest-file-write,
	// guest-file-close, guest-network-get-interfaces, guest-get-osinfo, guest-get-host-name, guest-info,
	// guest-shutdown…), and gives what its reply holds under "return". It blocks until the agent answers or ctx
	// ends: the agent of a booting guest answers once it is up. The agent's own refusals are *AgentError.
	Agent(ctx context.Context, vmid int, execute string, arguments json.RawMessage) (json.RawMessage, error)
}

// Machine is what an engine needs to know to start a VM.
type Machine struct {
	VMID int
	// Template is the VMID that the machine was cloned from; 0 when it was created.
	Template int
	// Image is the volume of content "import" that the disk of the machine, or of the template that it was cloned from,
	// was made of; "" for none.
	Image string
	Name  string
	// Config is the VM's whole configuration, a copy.
	Config map[string]string
	// Cores is cores times sockets.
	Cores  int
	Memory runner.Bytes
	// MAC is net0's hardware address, upper case; "" without net0.
	MAC string
	// CloudInit is what the VM's cloud-init drive holds; nil when the VM has none. It is the same copy until the VM is
	// started again, whatever becomes of the snippets it was made from.
	CloudInit *CloudInit
	// Media are the uploaded ISO images in the VM's CD-ROM drives, by drive ("ide2"): copies.
	Media map[string][]byte
	// Exited tells the server that the machine powered off; calling it twice, or after Stop, does nothing.
	Exited func()
}

// AgentError is a refusal by the guest agent itself: {"error":{"class":…,"desc":…}} of the QEMU guest agent protocol.
// The API answers it with 500 "Agent error: <Desc>".
type AgentError struct {
	Class string // "GenericError", "CommandNotFound"
	Desc  string
}

// Error returns the class and the description.
func (e *AgentError) Error() string { return fmt.Sprintf("guest agent: %s: %s", e.Class, e.Desc) }
