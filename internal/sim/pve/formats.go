package pve

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// named are the formats with a name that take one value; the text is what Proxmox says of a value that has another
// form (PVE::JSONSchema and the packages that register formats). Names that aren't here admit everything: the
// options that carry them are root's alone or of no use to a dispatcher.
func namedFormat(name string) (check func(string) string, ok bool) {
	switch name {
	case "dns-name":
		return matching(dnsForm, "value does not look like a valid DNS name"), true
	case "pve-vmid":
		return matching(vmidForm, "value does not look like a valid VM ID"), true
	case "pve-node":
		return matching(nodeForm, "value does not look like a valid node name"), true
	case "pve-tag":
		return matching(tagForm, "invalid characters in tag"), true
	case "pve-storage-id":
		return storageID, true
	case "pve-configid":
		return func(v string) string { return unless(configIDForm.MatchString(v), "invalid configuration ID '"+v+"'") }, true
	case "pve-poolid":
		return func(v string) string {
			return unless(poolForm.MatchString(v), "value does not look like a valid pool name")
		}, true
	case "pve-bridge-id":
		return func(v string) string { return unless(bridgeForm.MatchString(v), "invalid bridge ID '"+v+"'") }, true
	case "mac-addr":
		return matching(macForm, "value does not look like a valid unicast MAC address"), true
	case "urlencoded":
		return func(v string) string { return unless(urlencodedForm.MatchString(v), "invalid urlencoded string: "+v) }, true
	case "pve-volume-id":
		return volumeID, true
	case "pve-volume-id-or-qm-path":
		return func(v string) string {
			if v == "none" || v == "cdrom" || strings.HasPrefix(v, "/") {
				return ""
			}
			return volumeID(v)
		}, true
	case "pve-volume-id-or-absolute-path":
		return func(v string) string {
			if strings.HasPrefix(v, "/") {
				return ""
			}
			return volumeID(v)
		}, true
	case "disk-size":
		return func(v string) string { return unless(sizeForm.MatchString(v), "unable to parse disk size '"+v+"'") }, true
	case "pve-task-status-type":
		return func(v string) string { return unless(taskStatusForm.MatchString(v), "invalid status '"+v+"'") }, true
	case "pve-storage-content":
		return func(v string) string {
			return unless(slices.Contains(contentTypes, v), "invalid content type '"+v+"'")
		}, true
	case "pve-startup-order":
		return func(v string) string { return unless(startupForm.MatchString(v), "unable to parse startup options") }, true
	case "pve-hotplug-features":
		return func(v string) string {
			return unless(hotplugForm.MatchString(v), "unable to parse hotplug option")
		}, true
	case "address":
		return func(v string) string {
			if _, err := netip.ParseAddr(v); err == nil || dnsForm.MatchString(v) {
				return ""
			}
			return "value does not look like a valid address: " + v
		}, true
	case "CIDR":
		return func(v string) string {
			_, err := netip.ParsePrefix(v)
			return unless(err == nil, "value does not look like a valid CIDR network")
		}, true
	case "storage-pair":
		return storageID, true
	}
	return nil, false
}

var (
	dnsForm        = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\n?$`)
	vmidForm       = regexp.MustCompile(`^[1-9][0-9]{2,8}\n?$`)
	nodeForm       = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\n?$`)
	tagForm        = regexp.MustCompile(`^(?i:[a-z0-9_][a-z0-9_\-+.]*)\n?$`)
	storageForm    = regexp.MustCompile(`^(?i:[a-z][a-z0-9\-_.]*[a-z0-9])\n?$`)
	configIDForm   = regexp.MustCompile(`^(?i:[a-z][a-z0-9_-]+)\n?$`)
	poolForm       = regexp.MustCompile(`^(?:[A-Za-z0-9.\-_]+/){0,2}[A-Za-z0-9.\-_]+\n?$`)
	bridgeForm     = regexp.MustCompile(`^[-.\w]+\n?$`)
	macForm        = regexp.MustCompile(`^(?i:[a-f0-9][02468ace](?::[a-f0-9]{2}){5})\n?$`)
	urlencodedForm = regexp.MustCompile(`^[-%a-zA-Z0-9_.!~*'()]*\n?$`)
	volumeForm     = regexp.MustCompile(`^((?i:[a-z][a-z0-9\-_.]*[a-z0-9])):(.+)$`)
	sizeForm       = regexp.MustCompile(`^(\d+(\.\d+)?)([KMGT](?:iB)?)?\n?$`)
	taskStatusForm = regexp.MustCompile(`^(?i:ok|error|warning|unknown)\n?$`)
	startupForm    = regexp.MustCompile(`^\s*(?:(?:(?:order=)?\d+|up=\d+|down=\d+)\s*,?\s*)+$`)
	hotplugForm    = regexp.MustCompile(`^(?:[01]|(?:(?:network|disk|cpu|memory|usb|cloudinit)[,;\s]*)*)\n?$`)
)

// contentTypes are what a storage may hold.
var contentTypes = []string{"images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"}

func unless(ok bool, text string) string {
	if ok {
		return ""
	}
	return text + "\n"
}

func matching(re *regexp.Regexp, text string) func(string) string {
	return func(v string) string { return unless(re.MatchString(v), text) }
}

func storageID(v string) string {
	if len(v) < 2 {
		return "storage ID '" + v + "' cannot be shorter than 2 characters\n"
	}
	return unless(storageForm.MatchString(v), "storage ID '"+v+"' contains illegal characters")
}

func volumeID(v string) string {
	return unless(volumeForm.MatchString(v), "unable to parse volume ID '"+v+"'")
}

// checkFormat returns the text of what is wrong with v, "" for nothing.
func (s *schemaType) checkFormat(path, v string) string {
	if s.fields != nil {
		_, text := s.fields.parse(path, v)
		return text
	}
	if f := namedPropFormat(s.format); f != nil {
		_, text := f.parse(path, v)
		return text
	}
	if base, isList := strings.CutSuffix(s.format, "-list"); isList {
		check, ok := namedFormat(base)
		if !ok {
			return ""
		}
		for _, e := range splitList(v) {
			if text := check(e); text != "" {
				return text
			}
		}
		return ""
	}
	if check, ok := namedFormat(s.format); ok {
		return check(v)
	}
	return ""
}

// splitList splits as Proxmox does: at commas, semicolons, blanks and NULs; a NUL-separated list keeps the others.
func splitList(v string) []string {
	if strings.Contains(v, "\x00") {
		return slices.DeleteFunc(strings.Split(v, "\x00"), func(s string) bool { return s == "" })
	}
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
}
