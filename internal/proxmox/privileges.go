package proxmox

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// unnamed are the refusals for want of a privilege that Proxmox VE doesn't name, or names where it can get lost: what the call
// needs, and on which path. {names} are segments of the call's path and its parameters. What is needed on a guest that the call
// makes in a resource pool is granted on that: see permissionHint.
var unnamed = []struct{ method, path, on, privilege string }{
	// Of two privileges one is enough, and then Proxmox says "Permission check failed" alone (pve-http-server and
	// pve-access-control RPCEnvironment.pm, exec_api2_perm_check: "or"): VM.Allocate on the new VMID or on its
	// resource pool (schema of POST …/clone).
	{"POST", "/nodes/{node}/qemu/{vmid}/clone", "/vms/{newid}", "VM.Allocate"},
	// The same in the method's own code (qemu-server API2/Qemu.pm, create_vm; pve-container API2/LXC.pm, create_vm).
	{"POST", "/nodes/{node}/qemu", "/vms/{vmid}", "VM.Allocate"},
	{"POST", "/nodes/{node}/lxc", "/vms/{vmid}", "VM.Allocate"},
	// The other way is Sys.Audit and Sys.Modify on / (schema of POST …/download-url).
	{"POST", "/nodes/{node}/storage/{storage}/download-url", "/nodes/{node}", "Sys.AccessNetwork"},
	// Refused before its body is read, in the reason phrase alone (pve-http-server AnyEvent.pm, recorded); a proxy before
	// Proxmox may drop that.
	{"POST", "/nodes/{node}/storage/{storage}/upload", "/storage/{storage}", "Datastore.AllocateTemplate"},
}

var inBraces = regexp.MustCompile(`\{(\w+)\}`)

// unnamedNeed finds what a refused call needs; both are "" when that isn't known.
func unnamedNeed(r call) (on, privilege string) {
	segments := strings.Split(r.path, "/")
	for _, row := range unnamed {
		pattern := strings.Split(row.path, "/")
		if row.method != r.method || len(pattern) != len(segments) {
			continue
		}
		value, fits := url.Values{}, true
		for i, want := range pattern {
			if name := inBraces.FindStringSubmatch(want); name != nil {
				plain, err := url.PathUnescape(segments[i])
				value.Set(name[1], plain)
				fits = fits && err == nil
			} else {
				fits = fits && want == segments[i]
			}
		}
		on = inBraces.ReplaceAllStringFunc(row.on, func(name string) string {
			name = strings.Trim(name, "{}")
			v := value.Get(name)
			if v == "" {
				v = r.params.Get(name)
			}
			fits = fits && v != ""
			return v
		})
		if fits {
			return on, row.privilege
		}
	}
	return "", ""
}

// missing finds path and privileges in "Permission check failed (/vms/9000, VM.Clone)".
var missing = regexp.MustCompile(`\((/[^\s,]*), (?:[A-Za-z.]+ for [^)]*|([A-Za-z.|]+))\)`)

// noPool is of a resource pool that isn't there (recorded).
var noPool = regexp.MustCompile(`\(pool '[^']*' does not exist\)`)

// permissionHint names the path and the privilege that a refused call needs: by Proxmox's own words, else by our table.
func (c *Client) permissionHint(r call, words string) string {
	if strings.Contains(words, "root@pam") || strings.Contains(words, "nly root") {
		return "no token may do that"
	}
	on, privilege := unnamedNeed(r)
	named := false
	switch m := missing.FindStringSubmatch(words); {
	case len(m) > 2 && m[2] == "":
		return "grant that to the token and its user, or do without"
	case len(m) > 2:
		on, privilege, named = m[1], anyOf(m[2]), true
	case noPool.MatchString(words):
		return "check the resource pool's name"
	case on == "" || strings.Contains(words, "("):
		return "see what the token may do: pveum user token permissions " + c.user + " " + c.tokenName
	}
	how := ": " + c.check + " prints the command"
	vmid, isGuest := strings.CutPrefix(on, "/vms/")
	if !isGuest {
		return "the token needs " + privilege + " on " + on + how
	}
	hint := "the token needs " + privilege + " on " + on + " or on the resource pool that it is in" + how
	if pool := c.poolOf(r, vmid); pool != "" {
		hint = "the token needs " + privilege + " on /pool/" + pool + how
	}
	if named {
		hint += "; of a guest that is gone or left its resource pool Proxmox says the same"
	}
	return hint
}

// poolOf is the resource pool of the guest that a refusal names: the one that the call would have made it in, else the one
// that it was seen in; "" when neither is known.
func (c *Client) poolOf(r call, vmid string) string {
	if madeBy(r) == vmid {
		return r.params.Get("pool")
	}
	id, err := strconv.Atoi(vmid)
	if err != nil {
		return ""
	}
	return c.guests.poolOf(id)
}

// mostNamed is up to how many privileges, of which one is enough, it helps to name. PUT config has eight: none at all says that
// the role is missing, and each option needs its own.
const mostNamed = 3

func anyOf(privileges string) string {
	list := strings.Split(privileges, "|")
	if len(list) > mostNamed && !slices.ContainsFunc(list, func(p string) bool { return !strings.HasPrefix(p, "VM.Config.") }) {
		return "VM.Config.*, by what is set,"
	}
	return strings.Join(list, " or ")
}
