package fleet_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// admin is somebody with the administrator's token, who does things to VMs while the controller runs.
type admin struct {
	*proxmox.Client
	b *bench
}

func (b *bench) admin() admin {
	b.t.Helper()
	info := b.pve.Info()
	client, err := proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret),
		Transport: b.pve.RoundTripper(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return admin{client, b}
}

// done waits for a task of the administrator's and demands that it ends well.
func (a admin) done(upid proxmox.UPID, err error) {
	a.b.t.Helper()
	if err == nil {
		err = a.WaitTask(a.b.t.Context(), upid)
	}
	if err != nil {
		a.b.t.Errorf("the administrator: %v", err)
	}
}

// set changes options of a VM; an empty value removes one.
func (a admin) set(vmid int, option, value string) {
	a.b.t.Helper()
	set, remove := map[string]string{option: value}, []string(nil)
	if value == "" {
		set, remove = nil, []string{option}
	}
	if err := a.SetConfig(a.b.t.Context(), "pve1", vmid, set, remove, ""); err != nil {
		a.b.t.Errorf("the administrator: %v", err)
	}
}

// copyOf makes a VM of its own from another one.
func (a admin) copyOf(source, vmid int, pool string) {
	a.b.t.Helper()
	a.done(a.Clone(a.b.t.Context(), "pve1", source, proxmox.CloneOptions{
		NewID: vmid, Name: fmt.Sprintf("admins-%d", vmid), Pool: pool, Full: true,
	}))
}

// destroy stops and removes a VM.
func (a admin) destroy(node string, vmid int) {
	a.b.t.Helper()
	a.done(a.Stop(a.b.t.Context(), node, vmid))
	a.done(a.Delete(a.b.t.Context(), node, vmid))
}

// movePool puts a VM into a resource pool; "" takes it out of ours.
func (a admin) movePool(vmid int, pool string) {
	a.b.t.Helper()
	form := url.Values{"poolid": {pool}, "vms": {strconv.Itoa(vmid)}, "allow-move": {"1"}}
	if pool == "" {
		form = url.Values{"poolid": {a.b.spec.ResourcePool}, "vms": {strconv.Itoa(vmid)}, "delete": {"1"}}
	}
	req, err := http.NewRequestWithContext(a.b.t.Context(), http.MethodPut, "https://pve1:8006/api2/json/pools", strings.NewReader(form.Encode()))
	if err != nil {
		a.b.t.Fatal(err)
	}
	info := a.b.pve.Info()
	req.Header.Set("Authorization", "PVEAPIToken="+info.AdminTokenID+"="+info.AdminTokenSecret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := a.b.pve.RoundTripper().RoundTrip(req)
	if err != nil {
		a.b.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		a.b.t.Errorf("the administrator: move VM %d into pool %q: %s", vmid, pool, res.Status)
	}
}

// lock sets a VM's config lock; "" removes it.
func (b *bench) lock(vmid int, lock string) {
	b.t.Helper()
	if err := b.pve.SetLock(vmid, lock); err != nil {
		b.t.Fatal(err)
	}
}

// onReply does something once, between the effect of a request of the controller and its reply.
func (b *bench) onReply(method, path string, do func()) {
	var once sync.Once
	hook := func(req *http.Request) bool {
		if req.Method == method && strings.Contains(req.URL.Path, path) {
			once.Do(do)
		}
		return false
	}
	b.toProxmox.lose.Store(&hook)
}

// arm arms a fault of the Proxmox stand-in and returns what removes it.
func (b *bench) arm(f pve.FaultSpec) (remove func()) {
	b.t.Helper()
	id, err := b.pve.Fault(f)
	if err != nil {
		b.t.Fatal(err)
	}
	return func() { b.pve.ClearFaults(id) }
}

// runners are the VMs that there are and that are neither decoys nor templates nor the administrator's own.
func (b *bench) runners() []pve.VMState {
	var list []pve.VMState
	for _, v := range b.pve.VMs() {
		if v.Decoy == "" && !v.Template && v.Status != "destroyed" && !strings.HasPrefix(v.Name, "admins-") {
			list = append(list, v)
		}
	}
	return list
}

// vm is the VM of that VMID as it is now; its zero value is none.
func (b *bench) vm(vmid int) pve.VMState {
	for _, v := range b.pve.VMs() {
		if v.VMID == vmid && v.Status != "destroyed" {
			return v
		}
	}
	return pve.VMState{}
}

// busy waits until one job runs, and gives its VM.
func (b *bench) busy() pve.VMState {
	b.t.Helper()
	b.until(10*time.Minute, "a job runs", func() bool { return count(b, "in_progress") == 1 })
	time.Sleep(3 * time.Second) // the controller has looked since
	list := b.runners()
	if len(list) != 1 {
		b.t.Fatalf("%d VMs for one job", len(list))
	}
	return list[0]
}

// reasons are what the status says of its runners.
func (b *bench) reasons() string {
	var text strings.Builder
	for _, r := range b.controller.Status().Runners {
		fmt.Fprintf(&text, "%s %s: %s\n", r.Name, r.State, r.Reason)
	}
	return text.String()
}

func (b *bench) logged(words string) {
	b.t.Helper()
	if !strings.Contains(strings.ReplaceAll(b.log.String(), `\"`, `"`), words) {
		b.t.Errorf("the log doesn't say %q", words)
	}
}

// unready demands that the status isn't ready, for a reason that says the words.
func (b *bench) unready(limit time.Duration, words string) {
	b.t.Helper()
	b.says(limit, words)
	b.logged(words)
}

// succeeded demands that every job ended well, started once.
func (b *bench) succeeded() {
	b.t.Helper()
	for _, j := range b.gh.Jobs() {
		if j.Conclusion != "success" || j.Starts != 1 {
			b.t.Errorf("job %+v", j)
		}
	}
}
