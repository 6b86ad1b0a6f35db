package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// coverage is the table of what went wrong how often: a line for each route with the kinds of fault on it, and one for each
// trouble of the world.
func coverage(cover, called map[string]int) string {
	var b strings.Builder
	for _, side := range []string{toProxmox, toGitHub} {
		var kinds []kind
		kinds = append(kinds, kindsOf(side)...)
		fmt.Fprintf(&b, "\n%s\n%9s", side, "calls")
		for _, k := range kinds {
			fmt.Fprintf(&b, " %8s", short(k))
		}
		b.WriteString("\n")
		for _, route := range slices.Sorted(maps.Keys(called)) {
			if sideOf(route) != side {
				continue
			}
			fmt.Fprintf(&b, "%9d", called[route])
			for _, k := range kinds {
				fmt.Fprintf(&b, " %8d", cover[route+" | "+string(k)])
			}
			fmt.Fprintf(&b, "  %s\n", strings.TrimPrefix(route, side+" "))
		}
	}
	b.WriteString("\nworld\n")
	for _, row := range slices.Sorted(maps.Keys(cover)) {
		if name, is := strings.CutPrefix(row, "world | "); is {
			fmt.Fprintf(&b, "%9d  %s\n", cover[row], name)
		}
	}
	return b.String() + "\n"
}

// short is a kind's name for the head of a column.
func short(k kind) string {
	s := strings.NewReplacer("reply ", "", " after the effect", "+", "half a reply", "half", "half a", "half", "no reply", "mute").Replace(string(k))
	return s
}

const (
	// fullHours is what a full run is, and fullLeast how often each fault must have come in it.
	fullHours = 2000
	fullLeast = 50
)

// atLeast is how often each fault must come in a run of so many hours; in a short one chance decides.
func atLeast(hours float64) int {
	if hours < fullHours/2 {
		return 0
	}
	return int(fullLeast * min(1, hours/fullHours))
}

// rare are the routes that are called so seldom that their faults have to be more frequent.
var rare = map[string]float64{
	routeStop: 8, routeRunner: 24, routeRunners: 2, routeRemove: 3, routeRead: 4, routeTaskLog: 24, routeTask: 24, routeNextID: 8, routeExec: 0.5,
	routeExecStatus: 4, "GET /access/permissions": 24, "GET /nodes/*/storage": 24,
}

// missed lists the faults that came less often than they must: each kind on each route, and each trouble of the world.
func missed(cover map[string]int, least int) []string {
	var out []string
	need := func(row string) {
		if n := cover[row]; n < least {
			out = append(out, fmt.Sprintf("%s: %d times, want %d", row, n, least))
		}
	}
	for _, route := range []string{
		"GET /cluster/resources", "GET /nodes/*/qemu", "GET /nodes/*/tasks", routeTask, routeTaskLog, routeNextID,
		routeConfig, routeClone, routeSet, routeStart, routeStop, routeDestroy, routeExec, routeExecStatus, routeRead,
	} {
		for _, k := range kindsOf(toProxmox) {
			need(toProxmox + " " + route + " | " + string(k))
		}
	}
	// Few worlds have media: of these routes all kinds count together.
	for _, route := range []string{routeUpload, routeUnload} {
		n := 0
		for _, k := range kindsOf(toProxmox) {
			n += cover[toProxmox+" "+route+" | "+string(k)]
		}
		if n < least {
			out = append(out, fmt.Sprintf("%s %s: %d times, want %d", toProxmox, route, n, least))
		}
	}
	for _, route := range []string{routeRunners, routeRunner, routeRemove, routeMint, "GET /repos/*/*/actions/runs", "GET /repos/*/*/actions/runs/*/jobs"} {
		for _, k := range kindsOf(toGitHub) {
			need(toGitHub + " " + route + " | " + string(k))
		}
	}
	for _, name := range worldFaults {
		need("world | " + name)
	}
	for _, b := range misbehaviours {
		need("world | guest " + b.String())
	}
	return out
}

// worldFaults are the names of the troubles.
var worldFaults = []string{
	"crash", "crash loop", "freeze", "configuration reloaded", "job cancelled", "outage of proxmox", "outage of github", "no quorum", "node death",
	"node in maintenance", "node cut off", "storage is full", "template is missing on a node", "admin migrates a VM", "pvestatd hangs",
	"daemon workers are taken", "tasks rotate", "exec runs twice", "removal leaves a disk", "assignment withdrawn", "clocks jump", "job stolen",
	"GitHub: list of runners lags", "GitHub: double_list", "GitHub: reverse_list", "GitHub: stale_304", "GitHub: 403_primary", "GitHub: 409",
	"qmclone is killed", "qmdestroy is killed", "task starts and an error is told", "pvedaemon is down", "template is locked",
	"VM stops for a full disk", "token refused by proxmox", "token refused by github",
	"admin stops a VM", "admin destroys a VM", "admin takes a VM over", "admin backs up a VM", "admin edits a VM", "admin copies a VM", "admin restores a VM", "GitHub: partial_list", "GitHub: empty_list",
	"GitHub: 403_secondary", "GitHub: 429", "qmclone fails", "qmstart fails", "qmdestroy fails", "qmstop fails",
	"VMID is taken", "admin reuses a VMID", "admin protects a VM", "addition to the resource pool fails", "start fails and the guest comes up",
	"clones are refused", "GitHub: 403_permission", "GitHub: 422", "job waits for approval", "guests can't reach GitHub", "runner release is refused",
	"qmclone is slow", "qmstart is slow", "qmdestroy is slow", "qmstop is slow",
}
