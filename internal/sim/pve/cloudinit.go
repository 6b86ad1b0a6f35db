package pve

import (
	"crypto/sha1" //nolint:gosec // names an instance, protects nothing
	"encoding/hex"
	"fmt"
	"strings"
)

// CloudInit is what a VM's cloud-init drive holds: NoCloud's files (qemu-server PVE/QemuServer/Cloudinit.pm,
// generate_nocloud).
type CloudInit struct {
	UserData, MetaData, NetworkConfig, VendorData string
}

// maxSnippet is how much of a snippet Proxmox reads (Cloudinit.pm, read_cloudinit_snippets_file).
const maxSnippet = 1 << 20

// generateCloudInit fills the VM's cloud-init drive: from cicustom's files, which are read only now, and what Proxmox
// would write for the others. Of its own user-data only the name is written; ciuser, sshkeys, ipconfig and DNS are not.
func (s *Server) generateCloudInit(v *vm) (*CloudInit, *apiError) {
	custom := map[string]string{}
	fields := propFields("cicustom", v.conf["cicustom"])
	for _, kind := range []string{"network", "user", "meta", "vendor"} { // the order in which Proxmox trips over them
		if fields[kind] == "" {
			continue
		}
		text, err := s.readSnippet(v.node, fields[kind])
		if err != nil {
			return nil, err
		}
		custom[kind] = text
	}
	or := func(kind string, native func() string) string {
		if text, ok := custom[kind]; ok {
			return text
		}
		return native()
	}
	ci := &CloudInit{VendorData: custom["vendor"]}
	ci.UserData = or("user", func() string { return nativeUserData(v) })
	ci.NetworkConfig = or("network", func() string { return "version: 1\nconfig: []\n" })
	ci.MetaData = or("meta", func() string {
		sum := sha1.Sum([]byte(ci.UserData + ci.NetworkConfig)) //nolint:gosec // as above
		return "instance-id: " + hex.EncodeToString(sum[:]) + "\n"
	})
	return ci, nil
}

// nativeUserData is what Proxmox writes where cicustom names no user-data (Cloudinit.pm, cloudinit_userdata).
func nativeUserData(v *vm) string {
	name := v.name()
	if v.conf["name"] == "" {
		name = fmt.Sprintf("VM%d", v.id)
	}
	host, _, _ := strings.Cut(name, ".")
	return "#cloud-config\nhostname: " + host + "\nmanage_etc_hosts: true\nfqdn: " + name +
		"\nchpasswd:\n  expire: False\nusers:\n  - default\npackage_upgrade: true\n"
}

// cloudInitDrive reports whether the VM has one.
func (v *vm) cloudInitDrive() bool {
	for opt, value := range v.conf {
		if isDrive(opt) && isCloudinit(value) {
			return true
		}
	}
	return false
}
