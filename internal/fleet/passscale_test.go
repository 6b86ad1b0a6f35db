package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// BenchmarkPass is a whole pass, from the bytes of Proxmox's replies to the status that is published, over fleets on 50 nodes that
// grow tenfold, with ten waiting jobs for each runner. The replies come out of memory, so what is measured is ours.
func BenchmarkPass(b *testing.B) {
	for _, runners := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("nodes=50/runners=%d/jobs=%d", runners, 10*runners), func(b *testing.B) {
			c := wholeFleet(b, 50, runners, 10*runners)
			if n := len(c.Status().Runners); n != runners {
				b.Fatalf("%d runners are known: %+v", n, c.Status().Reasons)
			}
			b.ReportAllocs()
			for b.Loop() {
				onePass(b, c)
			}
			if s := c.Status(); len(s.Waiting) != 10*runners || s.Waiting[len(s.Waiting)-1].Reason.Code != WaitTotalMax {
				b.Fatalf("%d jobs wait", len(s.Waiting))
			}
		})
	}
}

func onePass(b *testing.B, c *Controller) {
	b.Helper()
	lookNow(b, c)
	c.pass(b.Context())
}

func lookNow(b *testing.B, c *Controller) {
	b.Helper()
	o := c.gather.supply(b.Context(), time.Time{}, nil)
	if o.err != nil {
		b.Fatal(o.err)
	}
	c.tookSupply(o, time.Now())
}

// wholeFleet is a controller that knows its queue and has read every VM's config. All its runners are busy, and no more may be made.
func wholeFleet(b *testing.B, nodes, runners, jobs int) *Controller {
	b.Helper()
	s, world := fleetOf(1, 0, jobs)
	s.Nodes, s.MaxRunners = []string{AllNodes}, runners
	s.VMIDs = Range{10_000, 10_000 + 2*runners}
	s.Placement = Placement{MemoryReserve: 2 * runner.GiB, MemoryOvercommit: 1, CPUOvercommit: 4, AntiAffinity: true}
	for i := range s.Pools {
		s.Pools[i].Max = runners
	}
	pve, err := proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: "ci@pve!mayfly", TokenSecret: runner.NewSecret("secret"), Transport: repliesOf(b, s, nodes, runners),
	})
	if err != nil {
		b.Fatal(err)
	}
	c, err := New(Options{Spec: s, Proxmox: pve, Demand: demand.NewPoll(nil, s.Targets(), nil)})
	if err != nil {
		b.Fatal(err)
	}
	c.looking, c.reading = true, true // this is where the looks come from
	now := time.Now()
	c.process = runner.NewProcess(now)
	c.startedAt, c.nextSweep, c.nextDisks = now, now.Add(time.Hour), now.Add(time.Hour)
	q := world.queue
	q.at, q.demand.At = now, now
	for i := range runners {
		q.registrations[target] = append(q.registrations[target], runner.Registration{ID: int64(i + 1), Name: runnerName(i), Online: true, Busy: true})
	}
	lookNow(b, c)
	c.tookQueue(q, now)
	c.pass(b.Context())
	return c
}

func runnerName(i int) string { return fmt.Sprintf("ep-%010x", i) }

// replies answers from memory, whatever the order of the questions.
type replies map[string][]byte

func (r replies) RoundTrip(req *http.Request) (*http.Response, error) {
	body, ok := r[req.URL.Path]
	if !ok {
		return nil, fmt.Errorf("nobody answers %s %s", req.Method, req.URL)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: req,
		Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}},
	}, nil
}

// repliesOf are those of a cluster with a template on each node and the runners spread over them.
func repliesOf(b *testing.B, s Spec, nodes, runners int) replies {
	b.Helper()
	r := replies{}
	put := func(path string, data any) {
		text, err := json.Marshal(map[string]any{"data": data})
		if err != nil {
			b.Fatal(err)
		}
		r["/api2/json"+path] = text
	}
	config := func(node string, vmid int, name string, more map[string]any) {
		all := map[string]any{
			"name": name, "agent": "1", "boot": "order=scsi0", "cores": 2, "memory": "4096", "digest": "d", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
			"scsi0": "local-lvm:base-9000-disk-0,size=8G",
		}
		for k, v := range more {
			all[k] = v
		}
		put(fmt.Sprintf("/nodes/%s/qemu/%d/config", node, vmid), all)
	}
	everything, byNode := []map[string]any{}, map[string][]map[string]any{}
	guest := func(node string, vmid int, name, pool string, more map[string]any) {
		v := map[string]any{
			"vmid": vmid, "name": name, "status": "running", "cpu": 0.97, "maxmem": 4 << 30, "mem": 3 << 30, "maxdisk": 8 << 30, "disk": 0, "uptime": 300,
			"netin": 123456789, "netout": 98765432,
		}
		for k, w := range more {
			v[k] = w
		}
		byNode[node] = append(byNode[node], v)
		listed := map[string]any{"id": "qemu/" + strconv.Itoa(vmid), "type": "qemu", "node": node, "pool": pool, "maxcpu": 2, "diskread": 1 << 30, "diskwrite": 1 << 28}
		for k, w := range v {
			listed[k] = w
		}
		everything = append(everything, listed)
	}
	for i := range nodes {
		node := nodeName(i)
		everything = append(everything,
			map[string]any{"id": "node/" + node, "type": "node", "node": node, "status": "online", "maxcpu": 256, "cpu": 0.1, "maxmem": 1 << 40, "mem": 1 << 34},
			map[string]any{"id": "storage/" + node + "/local-lvm", "type": "storage", "node": node, "storage": "local-lvm", "status": "available", "plugintype": "lvmthin", "content": "images,rootdir", "maxdisk": 1 << 44, "disk": 1 << 34, "shared": 0})
		guest(node, 9000+i, s.Pools[0].Template, "templates", map[string]any{"template": 1, "status": "stopped"})
		config(node, 9000+i, s.Pools[0].Template, map[string]any{"template": 1})
	}
	for i := range runners {
		node, vmid, pool := nodeName(i%nodes), s.VMIDs.Start+i, s.Pools[i%len(s.Pools)].Name
		m := runner.Marker{Installation: s.Installation, Runner: runnerName(i), VMID: vmid, Pool: pool, Created: time.Now().Add(-5 * time.Minute), Version: "bench", Template: 9000 + i%nodes}
		tags := strings.Join([]string{"mayfly", "mayfly-" + s.Installation, "pool-" + pool}, ";")
		guest(node, vmid, runnerName(i), s.ResourcePool, map[string]any{"tags": tags})
		config(node, vmid, runnerName(i), map[string]any{"description": m.Description(), "reboot": 0, "tags": tags})
	}
	put("/cluster/resources", everything)
	for node, list := range byNode {
		put("/nodes/"+node+"/qemu", list)
	}
	return r
}
