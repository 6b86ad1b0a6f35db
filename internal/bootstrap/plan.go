package bootstrap

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Container says what container the dispatcher is put into.
type Container struct {
	VMID             int
	Hostname, Bridge string
	// Storage is where its disk goes.
	Storage string
	Cores   int
	// Memory is rounded up to whole MiB, Disk to whole GiB, as Proxmox counts.
	Memory, Disk runner.Bytes
	// IP is "dhcp" or an address with the network's size, "192.0.2.5/24"; Gateway goes with an address and may be empty.
	IP, Gateway string
	// MAC is that of a container before this one; "" for a new one.
	MAC string
	// ResourcePool is "" for none.
	ResourcePool string
	// Description are its notes, which hold its marker.
	Description string
	// KeyLine is what [CarrierLine] gave.
	KeyLine runner.Secret
}

// Creation are the parameters of the container's creation from a template, a volume such as
// "local:vztmpl/mayfly-190.tar.zst". It is unprivileged and may nest namespaces, which systemd needs. Tags are left out: a
// token whose privileges come from the resource pool sets them afterwards. So is the start with its node, which comes when
// its dispatcher was ready, and the volume of its state, which may be another container's yet.
func (c Container) Creation(template string) proxmox.NewContainer {
	net := "name=eth0,bridge=" + c.Bridge
	if c.MAC != "" {
		net += ",hwaddr=" + c.MAC
	}
	net += ",ip=" + c.IP
	if c.Gateway != "" {
		net += ",gw=" + c.Gateway
	}
	options := map[string]string{
		"hostname": c.Hostname, "unprivileged": "1", "features": "nesting=1", "swap": "0", "ostype": "debian",
		"rootfs": c.Storage + ":" + up(c.Disk, runner.GiB), "cores": strconv.Itoa(c.Cores), "memory": up(c.Memory, runner.MiB), "net0": net,
	}
	if c.Description != "" {
		options["description"] = c.Description
	}
	if !c.KeyLine.IsZero() {
		options["ssh-public-keys"] = c.KeyLine.Reveal()
	}
	return proxmox.NewContainer{VMID: c.VMID, Template: template, Pool: c.ResourcePool, Options: options}
}

// up counts n in units, rounded up.
func up(n, unit runner.Bytes) string { return strconv.FormatInt(int64((n+unit-1)/unit), 10) }

// ErrNoTemplate says that the index of appliances names no template that can be used.
var ErrNoTemplate = errors.New("the node's index of appliances has no Debian 12 template with a SHA-512; " +
	"set CT_TEMPLATE to a file, or CT_TEMPLATE_URL, or run pveam update on the node")

// NewestTemplate picks Debian 12's newest standard template for amd64 from the index of appliances. Entries without a
// SHA-512 don't count: they come over plain http.
func NewestTemplate(index []proxmox.Appliance) (proxmox.Appliance, error) {
	fit := slices.DeleteFunc(slices.Clone(index), func(a proxmox.Appliance) bool {
		return a.Package != "debian-12-standard" || len(a.SHA512) != 128 || !strings.Contains(a.Template, "_amd64.tar.") ||
			!strings.HasSuffix(a.Template, ".zst") && !strings.HasSuffix(a.Template, ".gz")
	})
	if len(fit) == 0 {
		return proxmox.Appliance{}, ErrNoTemplate
	}
	return slices.MaxFunc(fit, func(a, b proxmox.Appliance) int { return compareVersions(a.Version, b.Version) }), nil
}

// compareVersions orders "12.2-1" before "12.12-1": numbers as numbers, what is between them as text.
func compareVersions(a, b string) int {
	split := func(r rune) bool { return r == '.' || r == '-' }
	return slices.CompareFunc(strings.FieldsFunc(a, split), strings.FieldsFunc(b, split), func(x, y string) int {
		n, errX := strconv.Atoi(x)
		m, errY := strconv.Atoi(y)
		if errX != nil || errY != nil {
			return strings.Compare(x, y)
		}
		return n - m
	})
}

// TemplateName is the name of the one-off template of a container, and of no other file.
func TemplateName(vmid int, nonce string) string {
	return fmt.Sprintf("mayfly-%d-%s.tar.zst", vmid, nonce)
}
