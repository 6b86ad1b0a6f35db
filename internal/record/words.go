package record

import (
	"regexp"
	"strconv"
	"strings"
)

// gone stands for what isn't kept.
const gone = "redacted"

// vocabulary are words of Proxmox VE's and GitHub's own, which may stay wherever a word is expected.
var vocabulary = set(`
	online offline unknown running stopped paused prelaunch io-error shutdown suspended available active maintenance
	node qemu lxc storage pool sdn zone vnet network bridge bond eth alias vlan fabric OVSBridge OVSBond OVSPort OVSIntPort
	images rootdir iso vztmpl import snippets backup none dir lvm lvmthin zfspool zfs rbd nfs cifs cephfs btrfs iscsi iscsidirect pbs esxi
	free list existing ACCEPT DROP REJECT clone create migrate rollback snapshot snapshot-delete suspending destroyed disk fstrim mounted
	virtio-scsi-single virtio-scsi-pci lsi lsi53c810 megasas pvscsi virtio e1000 vmxnet3 rtl8139 l24 l26 other win10 win11 debian ubuntu
	queued in_progress completed waiting requested pending success failure cancelled skipped push pull_request pull_request_target schedule
	workflow_dispatch workflow_call release public private internal read-only custom linux osx win x64 arm arm64 x86_64 amd64
	vzdump on off ignore unsafe writeback writethrough directsync native threads qcow2 raw vmdk cdrom order legacy enabled media size
	any_bridge latest true false`)

// pathWords are those of addresses and of Proxmox's permission paths.
var pathWords = set(`
	api2 json api v3 version cluster resources nextid options backup firewall nodes qemu lxc config network aplinfo storage access permissions
	pools pool vms sdn zones groups realm mapping dir pci usb notifications status current feature agent tasks content
	repos orgs actions runners downloads runs jobs releases tags runner-groups`)

// patterns that tell nothing.
var (
	plainNumber  = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,17})?$`)
	plainVersion = regexp.MustCompile(`^v?[0-9]{1,4}(\.[0-9]{1,4}){1,2}(-[0-9]{1,3})?$`)
	plainTime    = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$`)
	privilege    = regexp.MustCompile(`^(VM|Sys|Datastore|SDN|Pool|Mapping|Group|Realm|User|Permissions)(\.(Config|GuestAgent|Snapshot))?\.[A-Z][A-Za-z]{2,18}$`)
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// word keeps a word that tells nothing.
func word(s string) string {
	if s == "" || vocabulary[s] || plainNumber.MatchString(s) || plainVersion.MatchString(s) || plainTime.MatchString(s) {
		return s
	}
	return gone
}

// path keeps the shape of a path: words that all have, numbers, and stand-ins for names. github says that numbers are ids.
func (r *redactor) path(p string, github bool) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		switch {
		case s == "" || pathWords[s] || plainVersion.MatchString(s):
		case plainNumber.MatchString(s):
			if id, err := strconv.ParseInt(s, 10, 64); github && err == nil {
				parts[i] = strconv.FormatInt(r.names.id(id), 10)
			}
		default:
			parts[i] = r.names.name(kindOfPart(parts, i), s)
		}
	}
	return strings.Join(parts, "/")
}

// kindOfPart tells from what stands before it what a name in a path is of.
func kindOfPart(parts []string, i int) string {
	if i == 0 {
		return "name"
	}
	switch parts[i-1] {
	case "nodes":
		return "node"
	case "storage":
		return "storage"
	case "pool":
		return "pool"
	case "repos", "orgs":
		return "owner"
	}
	return "name"
}

// saying are the words that messages of the two servers are made of, as far as the clients or people go by them.
var saying = set(`
	a access again agent already an and api are authentication be body but by can check cluster command config configuration content could
	credentials denied disabled does don't error errors exist exists expired fail failed failed! file find for forbidden found gone got group guest has have
	hostname if in integration invalid is it limit lock locked lookup malformed method missing modifying must need no node not of on only or
	parameter permission permissions personal please pool property protection qemu quorum rate ready refused required requires resource
	resources rights running secondary see service set shutdown size storage such supported system tag temporary the this ticket timeout to token
	unable unauthorized unavailable unknown unsupported use user value verification vm volume was while with without your implemented connection
	reset timed out host route certificate read reply dial tcp eof unexpected ok bad request internal server moved`)

// text keeps of a message only words that messages are made of, privileges, numbers and paths.
func (r *redactor) text(s string) string {
	fields := strings.Fields(s)
	for i, f := range fields {
		bare := strings.Trim(f, `.,:;()'"!`)
		switch {
		case bare == "", saying[strings.ToLower(bare)], saying[strings.ToLower(f)], word(bare) != gone:
		case strings.ContainsAny(bare, "|") && allPrivileges(bare), privilege.MatchString(bare):
		case strings.HasPrefix(bare, "/"):
			fields[i] = strings.Replace(f, bare, r.path(bare, false), 1)
		default:
			if known, ok := r.names.of[bare]; ok {
				fields[i] = strings.Replace(f, bare, known, 1)
			} else if !kept.MatchString(bare) {
				fields[i] = strings.Replace(f, bare, gone, 1)
			}
		}
	}
	return strings.Join(fields, " ")
}

func allPrivileges(s string) bool {
	for p := range strings.SplitSeq(s, "|") {
		if !privilege.MatchString(p) {
			return false
		}
	}
	return true
}
