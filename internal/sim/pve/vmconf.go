package pve

import (
	"crypto/sha1" //nolint:gosec // Proxmox's digest of a configuration file is SHA-1
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/runner"
)

// render is the configuration file's text: the description as comment lines, then the options by name, then what
// is pending.
func (v *vm) render() string {
	var b strings.Builder
	if d, ok := v.conf["description"]; ok {
		for line := range strings.SplitSeq(d, "\n") {
			b.WriteString("#" + encodeText(line) + "\n")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(v.conf)) {
		if k != "description" {
			fmt.Fprintf(&b, "%s: %s\n", k, v.conf[k])
		}
	}
	if len(v.pending) > 0 || len(v.pendDel) > 0 {
		b.WriteString("\n[PENDING]\n")
		if len(v.pendDel) > 0 {
			fmt.Fprintf(&b, "delete: %s\n", strings.Join(slices.Sorted(maps.Keys(v.pendDel)), ","))
		}
		for _, k := range slices.Sorted(maps.Keys(v.pending)) {
			fmt.Fprintf(&b, "%s: %s\n", k, v.pending[k])
		}
	}
	return b.String()
}

// encodeText escapes what a comment line can't hold: control characters, "%" and all that isn't ASCII (PVE::Tools,
// encode_text).
func encodeText(line string) string {
	var b strings.Builder
	for _, c := range []byte(line) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// digest is the SHA-1 of the configuration file.
func (v *vm) digest() string {
	sum := sha1.Sum([]byte(v.render())) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// typed is a stored value as JSON shows it: numbers for numeric options, text for all else.
func typed(opt, value string) any { return typedBy(loadMethods().config, opt, value) }

// typedBy is typed for the options of a VM or of a container.
func typedBy(options map[string]*schemaType, opt, value string) any {
	s := options[opt]
	if s == nil {
		return value
	}
	switch s.Type {
	case "integer", "boolean":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	case "number":
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			return f
		}
	}
	return value
}

// shown hides what Proxmox hides.
func shown(opt, value string) any {
	if opt == "cipassword" {
		return "**********"
	}
	return typed(opt, value)
}

// number of cores and memory, with qemu-server's defaults (1 core, 1 socket, 512 MiB).
func (v *vm) cores() int {
	return confInt(v.conf, "cores", 1) * confInt(v.conf, "sockets", 1)
}

func (v *vm) memory() runner.Bytes {
	return runner.Bytes(confInt(v.conf, "memory", 512)) * runner.MiB
}

func confInt(conf map[string]string, k string, def int) int {
	if n, err := strconv.Atoi(strings.TrimPrefix(conf[k], "current=")); err == nil {
		return n
	}
	return def
}

// agentEnabled reads the agent option: "1", "enabled=1,fstrim_cloned_disks=1".
func (v *vm) agentEnabled() bool {
	fields := propFields("agent", v.conf["agent"])
	return fields["enabled"] == "1"
}

// mac is net0's address, upper case.
func (v *vm) mac() string { return strings.ToUpper(propFields("net0", v.conf["net0"])["macaddr"]) }

// printNet writes a network device as Proxmox stores it: "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1". A device
// without an address gets a new one.
func (c *cluster) printNet(fields map[string]string) string {
	model := fields["model"]
	if fields["macaddr"] == "" {
		fields["macaddr"] = c.randomMAC()
	}
	parts := []string{model + "=" + strings.ToUpper(fields["macaddr"])}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if k != "model" && k != "macaddr" {
			parts = append(parts, k+"="+fields[k])
		}
	}
	return strings.Join(parts, ",")
}

// random is the next of the numbers that the seed determines (splitmix64).
func (s *Server) random() uint64 { return s.cluster.random() }

func (c *cluster) random() uint64 {
	c.randomSeq += 0x9e3779b97f4a7c15
	z := c.randomSeq
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// randomMAC has Proxmox's own prefix.
func (c *cluster) randomMAC() string {
	r := c.random()
	return fmt.Sprintf("BC:24:11:%02X:%02X:%02X", byte(r), byte(r>>8), byte(r>>16))
}

func (c *cluster) randomUUID() string {
	a, b := c.random(), c.random()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", uint32(a), uint16(a>>32), a>>48&0xfff, 0x8000|b>>50&0x3fff, b&0xffffffffffff)
}

// normalTags are tags as Proxmox stores them: lower case, sorted, once each.
func normalTags(v string) string {
	tags := splitList(strings.ToLower(v))
	slices.Sort(tags)
	return strings.Join(slices.Compact(tags), ";")
}

// isDrive reports whether an option is a disk or CD-ROM drive.
func isDrive(opt string) bool {
	if opt == "efidisk0" || opt == "tpmstate0" {
		return true
	}
	base := strings.TrimRight(opt, "0123456789")
	return base != opt && slices.Contains([]string{"ide", "scsi", "virtio", "sata"}, base)
}

// isNumbered reports whether an option is base and a number.
func isNumbered(opt, base string) bool {
	rest, ok := strings.CutPrefix(opt, base)
	_, err := strconv.Atoi(rest)
	return ok && err == nil
}

// drive is a parsed drive option.
type drive struct {
	fields map[string]string
	file   string
}

func parseDrive(opt, value string) drive {
	fields := propFields(opt, value)
	return drive{fields: fields, file: fields["file"]}
}

func (d drive) cloudinit() bool {
	_, name, _ := strings.Cut(d.file, ":")
	return name == "cloudinit" || strings.Contains(name, "-cloudinit")
}

func (d drive) cdrom() bool { return d.fields["media"] == "cdrom" }

// storage is the storage that holds the drive's volume; "" for none.
func (d drive) storage() string {
	store, _, ok := strings.Cut(d.file, ":")
	if !ok {
		return ""
	}
	return store
}

// disks are the VM's own volumes by drive: no CD-ROMs, no empty drives.
func (v *vm) disks() map[string]drive {
	out := map[string]drive{}
	for opt, value := range v.conf {
		if !isDrive(opt) {
			continue
		}
		if d := parseDrive(opt, value); d.storage() != "" && (!d.cdrom() || d.cloudinit()) {
			out[opt] = d
		}
	}
	return out
}
