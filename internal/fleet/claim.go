package fleet

import (
	"errors"
	"fmt"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Claim is the ownership rule. It returns the VM's marker when the VM is provably ours, and otherwise an error that
// says what is missing; such a VM is unclaimed: counted, shown, never touched. cfg must have been read just before,
// and inPool is the resource pool that the VM is in as far as the token sees.
//
// All of these must agree: the VMID is in our range, the marker is of our installation, the marker's VMID and name are
// this VM's own, it isn't a template, and it is in our resource pool where we have one.
func Claim(s Spec, vmid int, cfg proxmox.VMConfig, inPool string) (runner.Marker, error) {
	if !s.VMIDs.Contains(vmid) {
		return runner.Marker{}, fmt.Errorf("VMID %d is outside our range %d to %d", vmid, s.VMIDs.Start, s.VMIDs.End)
	}
	if cfg.Template {
		return runner.Marker{}, errors.New("it is a template")
	}
	m, err := runner.ParseMarker(cfg.Description)
	if err != nil {
		return runner.Marker{}, err
	}
	switch {
	case m.Installation != s.Installation:
		return runner.Marker{}, fmt.Errorf("its marker is of installation %q", m.Installation)
	case m.VMID != vmid:
		return runner.Marker{}, fmt.Errorf("its marker is a copy of VM %d's", m.VMID)
	case m.Runner != cfg.Name:
		return runner.Marker{}, fmt.Errorf("its name %q isn't its marker's %q", cfg.Name, m.Runner)
	case s.ResourcePool != "" && inPool != s.ResourcePool:
		return runner.Marker{}, fmt.Errorf("it is in resource pool %q, not %q", inPool, s.ResourcePool)
	}
	return m, nil
}
