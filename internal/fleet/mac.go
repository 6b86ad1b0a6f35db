package fleet

import (
	"crypto/sha256"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// MAC derives a VM's MAC address from installation and VMID, so that a range of 100 VMIDs takes at most 100 DHCP
// leases, however many runners there were. The address is locally administered and unicast (02:…).
func MAC(installation string, vmid int) net.HardwareAddr {
	sum := sha256.Sum256([]byte(installation + "/" + strconv.Itoa(vmid)))
	return net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

// macForm is a MAC address as Proxmox writes it in net0.
var macForm = regexp.MustCompile(`^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$`)

// withMAC puts a MAC address into a net0 value ("virtio=BC:24:11:…,bridge=vmbr0,firewall=1") and keeps all the rest:
// a PUT replaces the whole value, and a lost firewall=1 would open the guest. It returns false for a value it
// doesn't know how to keep.
func withMAC(net0 string, mac net.HardwareAddr) (string, bool) {
	parts := strings.Split(net0, ",")
	for i, part := range parts {
		key, value, ok := strings.Cut(part, "=")
		if ok && macForm.MatchString(value) {
			parts[i] = fmt.Sprintf("%s=%s", key, strings.ToUpper(mac.String()))
			return strings.Join(parts, ","), true
		}
	}
	return "", false
}
