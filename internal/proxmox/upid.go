package proxmox

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// UPID names one task of the cluster: "UPID:node:pid:pstart:starttime:type:id:user:", the numbers in hexadecimal
// (pve-common src/PVE/UPID.pm, upid_decode). The zero value is no task.
type UPID string

// upidForm is as strict as Proxmox's own pattern; the type is never empty, the id may be.
var upidForm = regexp.MustCompile(`^UPID:([A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$`)

// ParseUPID checks that s is a UPID. Its parts are then what the methods give.
func ParseUPID(s string) (UPID, error) {
	if !upidForm.MatchString(s) {
		return "", fmt.Errorf("parse task id %q: not of the form UPID:node:pid:pstart:starttime:type:id:user: of Proxmox", shorten(s))
	}
	return UPID(s), nil
}

// Node is the node that the task runs on, "" when u is no UPID.
func (u UPID) Node() string { return u.part(1) }

// Type is the task's type, for example "qmclone".
func (u UPID) Type() string { return u.part(5) }

// ID is what the task works on. For qmclone that is the template's VMID, not the clone's.
func (u UPID) ID() string { return u.part(6) }

// User is who started the task: "user@realm!token" for a token.
func (u UPID) User() string { return u.part(7) }

// Start is when the task began, by the node's clock, in whole seconds; the zero time when u is no UPID.
func (u UPID) Start() time.Time {
	seconds, err := strconv.ParseInt(u.part(4), 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func (u UPID) part(i int) string {
	if !upidForm.MatchString(string(u)) {
		return ""
	}
	return strings.Split(string(u), ":")[i]
}

// maxQuote bounds how much of a server's text one error repeats.
const maxQuote = 600

// shorten cuts a long text in the middle: its beginning says what, its end says why.
func shorten(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	r := []rune(s)
	if len(r) <= maxQuote {
		return s
	}
	return string(r[:maxQuote/3]) + " … " + string(r[len(r)-maxQuote*2/3:])
}
