package proxmox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind says what a failure means for the caller. It is an error itself: errors.Is(err, proxmox.NotFound).
type Kind int //nolint:errname // callers read it as proxmox.NotFound

// The kinds. A call that only reads is never MaybeHappened.
//
//nolint:errname // callers read them as proxmox.NotFound
const (
	// NotFound: the VM, template, node, storage, task or file in the guest isn't there. A VM may have moved to
	// another node: GET /cluster/resources and nextid?vmid=N tell. A token with rights on a resource pool only is
	// told Permission instead, because a VM leaves its pool when it is destroyed.
	NotFound Kind = iota + 1
	// Exists: the VMID is taken, or the VM is in the wanted state already (it runs).
	Exists
	// Locked: the VM has a lock in its config ("VM is locked (backup)") or is protected. Waiting alone may not help.
	Locked
	// Busy: somebody else holds a file or cluster lock, or has just changed the config. Worth a retry after a pause.
	Busy
	// Unauthorized: Proxmox doesn't accept the token.
	Unauthorized
	// Permission: the token is accepted but may not do this; only root may do some things.
	Permission
	// BadParameter: Proxmox refuses the request as it is; a repeat would be refused, too.
	BadParameter
	// Unavailable: not executed, or only a read: no connection, no quorum, node down, guest agent silent.
	Unavailable
	// MaybeHappened: a POST, PUT or DELETE whose effect is unknown. Look before doing it again.
	MaybeHappened
	// TaskFailed: Proxmox accepted the order and failed at it. The message says why; something may be left behind.
	TaskFailed
	// Untrusted: not executed; the server shows a certificate that nothing in the configuration vouches for.
	Untrusted
)

// Error names the kind in plain words.
func (k Kind) Error() string {
	switch k {
	case NotFound:
		return "not found"
	case Exists:
		return "already exists"
	case Locked:
		return "locked"
	case Busy:
		return "busy"
	case Unauthorized:
		return "unauthorized"
	case Permission:
		return "permission denied"
	case BadParameter:
		return "bad parameter"
	case Untrusted:
		return "certificate not trusted"
	case Unavailable:
		return "unavailable"
	case MaybeHappened:
		return "may have happened"
	case TaskFailed:
		return "task failed"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Error is what every call of a [Client] fails with. It holds neither the token's secret nor what was written to a
// guest.
type Error struct {
	Kind Kind
	// Op is what was wanted: "clone VM 9000 to 201 on pve1".
	Op string
	// Status is Proxmox's HTTP status, 0 when there was no reply and for a failed task.
	Status int
	// Message is Proxmox's words or, without a reply, ours. One line.
	Message string
	// Fields are Proxmox's words for each refused parameter (status 400).
	Fields map[string]string
	// Cause is the error below, where there is one.
	Cause error
	// Hint says what to do next, where that is known.
	Hint string
}

// Error is one line: what was wanted, what Proxmox said, what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	b.WriteString(": ")
	if e.Kind == MaybeHappened {
		b.WriteString("may have happened: ")
	}
	switch {
	case e.Message == "" && e.Status != 0:
		fmt.Fprintf(&b, "Proxmox answers %d", e.Status)
	case e.Message == "":
		b.WriteString(e.Kind.Error())
	case e.Status != 0:
		fmt.Fprintf(&b, "%d %s", e.Status, e.Message)
	default:
		b.WriteString(e.Message)
	}
	for i, name := range slices.Sorted(maps.Keys(e.Fields)) {
		sep := ", "
		if i == 0 {
			sep = " "
		}
		fmt.Fprintf(&b, "%s%s: %s", sep, name, e.Fields[name])
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return oneLine(b.String())
}

// Unwrap gives the error below.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is the error's kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// oneLine joins lines and drops control characters, so that a reply can't forge log lines.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == ' ' }), " ")
}
