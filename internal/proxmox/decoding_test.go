package proxmox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// object reads a JSON object without any of the client's types.
type object map[string]any

func (o object) text(key string) string {
	switch v := o[key].(type) {
	case nil:
		return ""
	case bool:
		if v {
			return "1"
		}
		return "0"
	default:
		return fmt.Sprint(v)
	}
}

func (o object) number(t *testing.T, key string) float64 {
	t.Helper()
	s := o.text(key)
	if s == "" {
		return 0
	}
	f, err := json.Number(s).Float64()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (o object) list(key string) []string {
	list := strings.FieldsFunc(o.text(key), func(r rune) bool { return r == ';' || r == ',' })
	if list == nil {
		list = []string{}
	}
	return list
}

func decode(t *testing.T, body []byte) any {
	t.Helper()
	var envelope struct{ Data any }
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&envelope); err != nil {
		t.Fatal(err)
	}
	return envelope.Data
}

func objects(t *testing.T, data any) []object {
	t.Helper()
	list, ok := data.([]any)
	if !ok {
		t.Fatalf("%T is no list", data)
	}
	var out []object
	for _, v := range list {
		out = append(out, v.(map[string]any))
	}
	return out
}

// TestRecordedValuesArriveUnchanged compares what the client gives with the recorded JSON, field by field.
func TestRecordedValuesArriveUnchanged(t *testing.T) {
	var current recording
	w := newWire(t, false, func(request) []byte { return []byte(current.Reply) })
	c := newClient(t, nil, w.URL)
	seen := map[string]int{}
	for _, r := range recordings(t) {
		if r.Reply == "" || r.Path == "/version" {
			continue
		}
		code, _, body := r.parse(t)
		if code != http.StatusOK || !json.Valid(body) {
			continue
		}
		current = r
		value, err := r.play(t.Context(), t, c)
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		var want any
		data := decode(t, body)
		switch value := value.(type) {
		case []proxmox.Resource:
			list := objects(t, data)
			if strings.HasPrefix(r.Path, "/pools") {
				pool := list[0]
				list = objects(t, pool["members"])
				for _, m := range list {
					m["pool"] = pool["poolid"]
				}
			}
			var all []proxmox.Resource
			for _, o := range list {
				all = append(all, resourceOf(t, o))
			}
			want = orEmpty(all)
		case []proxmox.NodeVM:
			var all []proxmox.NodeVM
			for _, o := range objects(t, data) {
				x := resourceOf(t, o)
				all = append(all, proxmox.NodeVM{
					VMID: x.VMID, Name: x.Name, Status: x.Status, Lock: x.Lock, Tags: x.Tags, Template: x.Template, Uptime: x.Uptime,
				})
			}
			want = orEmpty(all)
		case []proxmox.Node:
			var all []proxmox.Node
			for _, o := range objects(t, data) {
				x := resourceOf(t, o)
				all = append(all, proxmox.Node{
					Name: x.Node, Status: x.Status, MaxCPU: int(x.MaxCPU), MaxMem: x.MaxMem, Mem: x.Mem, Uptime: x.Uptime,
				})
			}
			want = orEmpty(all)
		case []proxmox.Task:
			var all []proxmox.Task
			for _, o := range objects(t, data) {
				all = append(all, taskOf(t, o))
			}
			want = orEmpty(all)
		case []proxmox.Storage:
			var all []proxmox.Storage
			for _, o := range objects(t, data) {
				all = append(all, proxmox.Storage{
					Name: o.text("storage"), Type: o.text("type"), Content: o.list("content"), Shared: o.text("shared") == "1",
					Enabled: o.text("enabled") == "1", Active: o.text("active") == "1",
					Total: runner.Bytes(o.number(t, "total")), Used: runner.Bytes(o.number(t, "used")), Avail: runner.Bytes(o.number(t, "avail")),
				})
			}
			want = orEmpty(all)
		case []proxmox.Volume:
			var all []proxmox.Volume
			for _, o := range objects(t, data) {
				all = append(all, proxmox.Volume{
					ID: o.text("volid"), Content: o.text("content"), Format: o.text("format"), Size: runner.Bytes(o.number(t, "size")),
					Created: time.Unix(int64(o.number(t, "ctime")), 0).UTC(), VMID: int(o.number(t, "vmid")),
				})
			}
			want = orEmpty(all)
		case []string:
			lines := objects(t, data)
			slices.SortFunc(lines, func(a, b object) int { return int(a.number(t, "n") - b.number(t, "n")) })
			texts := []string{}
			for _, l := range lines {
				if l.text("t") != "no content" {
					texts = append(texts, l.text("t"))
				}
			}
			want = texts
		case proxmox.VMConfig:
			o := object(data.(map[string]any))
			values := map[string]string{}
			for key := range o {
				values[key] = o.text(key)
			}
			want = proxmox.VMConfig{
				Name: o.text("name"), Description: o.text("description"), Lock: o.text("lock"), Tags: o.list("tags"),
				Template: o.text("template") == "1", Protection: o.text("protection") == "1",
				AgentEnabled: strings.HasPrefix(o.text("agent"), "1") || strings.Contains(o.text("agent"), "enabled=1"),
				Digest:       o.text("digest"), Values: values,
			}
		case proxmox.ContainerConfig:
			o := object(data.(map[string]any))
			values := map[string]string{}
			for key := range o {
				values[key] = o.text(key)
			}
			want = proxmox.ContainerConfig{
				Hostname: o.text("hostname"), Description: o.text("description"), Lock: o.text("lock"), Tags: o.list("tags"),
				Protection: o.text("protection") == "1", Digest: o.text("digest"), Values: values,
			}
		case proxmox.VMStatus:
			o := object(data.(map[string]any))
			want = proxmox.VMStatus{
				Status: o.text("status"), QMPStatus: o.text("qmpstatus"), Lock: o.text("lock"),
				Uptime: time.Duration(o.number(t, "uptime")) * time.Second,
			}
		case proxmox.TaskStatus:
			o := object(data.(map[string]any))
			want = proxmox.TaskStatus{Running: o.text("status") == "running", ExitStatus: o.text("exitstatus")}
		case proxmox.ExecStatus:
			o := object(data.(map[string]any))
			want = proxmox.ExecStatus{
				Exited: o.text("exited") == "1", ExitCode: int(o.number(t, "exitcode")), Signal: int(o.number(t, "signal")),
				Out: o.text("out-data"), Err: o.text("err-data"),
				Truncated: o.text("out-truncated") == "1" || o.text("err-truncated") == "1",
			}
		case map[string]map[string]bool:
			paths := map[string]map[string]bool{}
			for path, grants := range data.(map[string]any) {
				paths[path] = map[string]bool{}
				for privilege := range grants.(map[string]any) {
					paths[path][privilege] = object(grants.(map[string]any)).text(privilege) == "1"
				}
			}
			want = paths
		case proxmox.UPID:
			want = proxmox.UPID(data.(string))
			if value.Node() == "" || value.Start().IsZero() || value.Type() == "" {
				t.Errorf("%s: %s isn't understood", r.Name, value)
			}
		case string:
			want = object(data.(map[string]any)).text("content")
		case int:
			if id, ok := data.(string); ok { // nextid's
				want = int(object{"id": id}.number(t, "id"))
				break
			}
			want = int(object(data.(map[string]any)).number(t, "pid"))
		case bool:
			want = true
		case proxmox.TagRules:
			want = proxmox.TagRules{Allowed: []string{"ci", "linux"}}
		case nil:
			continue
		default:
			t.Fatalf("%s: nothing checks a %T", r.Name, value)
		}
		seen[fmt.Sprintf("%T", value)]++
		if diff := cmp.Diff(want, value); diff != "" {
			t.Errorf("%s (-recorded +client):\n%s", r.Name, diff)
		}
	}
	if len(seen) != 18 {
		t.Errorf("only these types were compared: %v", slices.Sorted(maps.Keys(seen)))
	}
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func resourceOf(t *testing.T, o object) proxmox.Resource {
	t.Helper()
	return proxmox.Resource{
		ID: o.text("id"), Type: o.text("type"), VMID: int(o.number(t, "vmid")), Node: o.text("node"), Name: o.text("name"),
		Status: o.text("status"), Lock: o.text("lock"), Pool: o.text("pool"), Tags: o.list("tags"),
		Template: o.text("template") == "1", MaxCPU: o.number(t, "maxcpu"), CPU: o.number(t, "cpu"),
		MaxMem: runner.Bytes(o.number(t, "maxmem")), Mem: runner.Bytes(o.number(t, "mem")),
		MaxDisk: runner.Bytes(o.number(t, "maxdisk")), Disk: runner.Bytes(o.number(t, "disk")),
		Storage: o.text("storage"), Shared: o.text("shared") == "1", Content: o.list("content"),
		PluginType: o.text("plugintype"), HAState: o.text("hastate"),
		Uptime: time.Duration(o.number(t, "uptime")) * time.Second,
	}
}

func taskOf(t *testing.T, o object) proxmox.Task {
	t.Helper()
	task := proxmox.Task{
		UPID: proxmox.UPID(o.text("upid")), Type: o.text("type"), ID: o.text("id"), User: o.text("user"),
		Start: time.Unix(int64(o.number(t, "starttime")), 0).UTC(),
	}
	if id := o.text("tokenid"); id != "" {
		task.User += "!" + id
	}
	if end := o.text("endtime"); end == "" {
		task.Running = true
	} else {
		task.End = time.Unix(int64(o.number(t, "endtime")), 0).UTC()
		task.ExitStatus = o.text("status")
	}
	return task
}

func TestOddValuesDoNotHideTheRest(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":[
		{"type":"qemu","vmid":"201","node":"pve1","name":7,"status":"newly-invented","tags":" b, a;c ","template":"1","maxcpu":"1.5","maxmem":"536870912","uptime":"12","extra":{"x":[1]}},
		{"type":"lxc","vmid":202,"maxcpu":0.5,"template":false,"tags":null,"lock":null,"mem":1e3,"cpu":"nan","maxmem":1e300,"uptime":-4},
		{"type":"qemu","vmid":203.0,"template":true,"tags":"","maxcpu":[],"mem":{},"disk":9007199254740993,"uptime":"99999999999999999999"},
		{"type":"node","node":"pve1","status":"online"}]}`)))
	c := newClient(t, nil, w.URL)
	got, err := c.Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []proxmox.Resource{
		{
			Type: "qemu", VMID: 201, Node: "pve1", Name: "7", Status: "newly-invented", Tags: []string{"b", "a", "c"}, Template: true,
			MaxCPU: 1.5, MaxMem: 512 * runner.MiB, Uptime: 12 * time.Second, Content: []string{},
		},
		{Type: "lxc", VMID: 202, MaxCPU: 0.5, Tags: []string{}, Mem: 1000, MaxMem: 1<<63 - 1, Content: []string{}},
		{Type: "qemu", VMID: 203, Template: true, Tags: []string{}, Disk: 9007199254740993, Uptime: 9223372036 * time.Second, Content: []string{}},
		{Type: "node", Node: "pve1", Status: "online", Tags: []string{}, Content: []string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}

func TestGuestWithoutVMIDIsAnErrorAndNotAFreeVMID(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":[{"type":"qemu","vmid":"x","name":"a"}]}`)))
	c := newClient(t, nil, w.URL)
	if got, err := c.Resources(t.Context()); err == nil {
		t.Errorf("resources %v, want an error", got)
	}
	if got, err := c.NodeVMs(t.Context(), "pve1"); err == nil {
		t.Errorf("VMs %v, want an error", got)
	}
}

func TestTagRulesAsFarAsShown(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK",
		`{"data":{"allowed-tags":["a","b"],"registered-tags":"r;s","user-tag-access":{"user-allow":"list","user-allow-list":["a"]}}}`)))
	got, err := newClient(t, nil, w.URL).AllowedTags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := proxmox.TagRules{Allowed: []string{"a", "b"}, UserAllow: "list", Registered: []string{"r", "s"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestAgentIsEnabledByItsPropertyString(t *testing.T) {
	for agent, want := range map[string]bool{
		"1": true, "enabled=1": true, "1,fstrim_cloned_disks=1": true, "fstrim_cloned_disks=1,enabled=1": true, "on": true,
		"0": false, "enabled=0,fstrim_cloned_disks=1": false, "": false, "fstrim_cloned_disks=1": false, "type=virtio": false,
	} {
		body, err := json.Marshal(map[string]any{"data": map[string]any{"agent": agent}})
		if err != nil {
			t.Fatal(err)
		}
		w := newWire(t, false, always(reply("200 OK", string(body))))
		got, err := newClient(t, nil, w.URL).VMConfig(t.Context(), "pve1", 200)
		if err != nil || got.AgentEnabled != want {
			t.Errorf("agent %q: enabled %v, %v; want %v", agent, got.AgentEnabled, err, want)
		}
	}
}
