package pve

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// optionPrivilege is the privilege that changing an option takes (qemu-server: API2/Qemu.pm,
// check_vm_modify_config_perm). Options that aren't here are checked by value, or are root's alone.
func optionPrivilege(opt string) []string {
	switch opt {
	case "cores", "cpu", "cpulimit", "cpuunits", "numa", "smp", "sockets", "vcpus":
		return []string{"VM.Config.CPU"}
	case "memory", "balloon", "shares", "allow-ksm":
		return []string{"VM.Config.Memory"}
	case "acpi", "hotplug", "kvm", "machine", "scsihw", "smbios1", "tablet", "vga", "watchdog", "audio0", "rng0":
		return []string{"VM.Config.HWType"}
	case "agent", "autostart", "bios", "description", "keyboard", "localtime", "migrate_downtime", "migrate_speed", "name",
		"onboot", "ostype", "protection", "reboot", "startdate", "startup", "tdf", "template":
		return []string{"VM.Config.Options"}
	case "freeze":
		return []string{"VM.PowerMgmt"}
	case "boot", "bootdisk", "vmstatestorage":
		return []string{"VM.Config.Disk"}
	case "cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain", "sshkeys":
		return []string{"VM.Config.Cloudinit", "VM.Config.Network"} // one of them
	}
	switch {
	case isNumbered(opt, "numa"):
		return []string{"VM.Config.CPU"}
	case isNumbered(opt, "net"):
		return []string{"VM.Config.Network"}
	case isNumbered(opt, "ipconfig"):
		return []string{"VM.Config.Cloudinit", "VM.Config.Network"}
	}
	return nil
}

// checkedByValue are options whose privilege depends on what they hold.
func checkedByValue(opt string) bool {
	if isDrive(opt) || opt == "cdrom" || opt == "tags" {
		return true
	}
	for _, base := range []string{"unused", "serial", "usb", "hostpci", "virtiofs"} {
		if isNumbered(opt, base) {
			return true
		}
	}
	return false
}

// mayModify refuses options that the token may not change. inPool is the resource pool of a VM in the making.
func (c *cluster) mayModify(t *token, vmid int, inPool string, opts []string) *apiError {
	slices.Sort(opts)
	for _, opt := range opts {
		if checkedByValue(opt) {
			continue
		}
		privs := optionPrivilege(opt)
		switch len(privs) {
		case 0:
			return failf("only root can set '%s' config", opt)
		case 1:
			if err := c.requireVM(t, vmid, inPool, privs...); err != nil {
				return err
			}
		default:
			if inPool != "" && c.may(t, "/pool/"+inPool, privs...) {
				continue
			}
			if err := c.requireAny(t, fmt.Sprintf("/vms/%d", vmid), privs...); err != nil {
				return err
			}
		}
		if opt == "startup" { // it changes what the host does
			if err := c.require(t, "/", "Sys.Modify"); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayUseBridges demands SDN.Use on the bridge of each network device among conf.
func (c *cluster) mayUseBridges(t *token, conf map[string]string) *apiError {
	for _, opt := range slices.Sorted(maps.Keys(conf)) {
		if !isNumbered(opt, "net") {
			continue
		}
		if err := c.mayUseBridge(t, propFields(opt, conf[opt])); err != nil {
			return err
		}
	}
	return nil
}

// mayUseBridge demands SDN.Use on a network device's bridge, or on the VLAN there.
func (c *cluster) mayUseBridge(t *token, device map[string]string) *apiError {
	if device["bridge"] == "" {
		return nil
	}
	path := "/sdn/zones/localnetwork/" + device["bridge"]
	if tag := device["tag"]; tag != "" && c.may(t, path+"/"+tag, "SDN.Use") {
		return nil
	}
	return c.require(t, path, "SDN.Use")
}

// mayDrive demands the privilege for changing a drive that holds value.
func (c *cluster) mayDrive(t *token, vmid int, opt, value string) *apiError {
	d := parseDrive(opt, value)
	switch {
	case d.cloudinit():
		return c.requireVM(t, vmid, "", "VM.Config.Cloudinit", "VM.Config.CDROM")
	case d.cdrom():
		return c.requireVM(t, vmid, "", "VM.Config.CDROM")
	}
	return c.requireVM(t, vmid, "", "VM.Config.Disk")
}

// mayByValue demands privileges for a serial port or another device, by what it holds.
func (c *cluster) mayByValue(t *token, vmid int, inPool, opt, value, verb string) *apiError {
	switch {
	case isNumbered(opt, "serial"):
		if value != "socket" {
			return failf("only root can %s '%s' config for real devices", verb, opt)
		}
		return c.requireVM(t, vmid, inPool, "VM.Config.HWType")
	case isNumbered(opt, "usb"):
		if host := propFields(opt, value)["host"]; !strings.EqualFold(host, "spice") {
			return failf("only root can %s '%s' config for real devices", verb, opt)
		}
		return c.requireVM(t, vmid, inPool, "VM.Config.HWType")
	case isNumbered(opt, "hostpci"):
		return failf("only root can %s '%s' config for non-mapped devices", verb, opt)
	case isNumbered(opt, "virtiofs"):
		if err := c.requireVM(t, vmid, inPool, "VM.Config.Options"); err != nil {
			return err
		}
		return c.require(t, "/mapping/dir/"+propFields(opt, value)["dirid"], "Mapping.Use")
	}
	return nil
}

var newDiskForm = regexp.MustCompile(`^([^/:\s]+):(\d+(?:\.\d+)?)$`)

// mayUseStorage demands what the volumes in given drive options take: space for new disks, a look for existing ones.
func (s *Server) mayUseStorage(t *token, conf map[string]string, vmid int) *apiError {
	for _, opt := range slices.Sorted(maps.Keys(conf)) {
		if !isDrive(opt) {
			continue
		}
		d := parseDrive(opt, conf[opt])
		store := d.storage()
		switch {
		case d.file == "none":
			continue
		case d.file == "cdrom":
			return failf("Permission check failed (/, Sys.Console)")
		case strings.HasPrefix(d.file, "/"):
			return failf("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.")
		}
		if s.storageByID(store) == nil {
			return failf("storage '%s' does not exist", store)
		}
		switch {
		case d.cloudinit():
			// checked with the drive itself; the small volume takes no storage privilege (recorded)
		case newDiskForm.MatchString(d.file):
			if err := s.require(t, "/storage/"+store, "Datastore.AllocateSpace"); err != nil {
				return err
			}
			if !s.storageByID(store).holds("images") {
				return badParam("storage", "storage '%s' does not support vm images", store)
			}
			if d.fields["import-from"] != "" {
				if err := s.mayImport(t, opt, d); err != nil {
					return err
				}
			}
		default:
			if own := s.volumes[s.key(s.opts.Node, d.file)]; own != nil && own.vmid == vmid && vmid != 0 {
				continue // a VM's own disk
			}
			if err := s.requireAny(t, "/storage/"+store, "Datastore.Audit", "Datastore.AllocateSpace"); err != nil {
				return &apiError{status: 403, msg: fmt.Sprintf("Permission check failed (/storage/%s, Datastore.Audit)", store)}
			}
		}
	}
	return nil
}
