//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/runner"
)

const (
	node         = "pve1"
	template     = 9000
	templateName = "ubuntu-2204-runner-template"
	installation = "bench"
	resourcePool = "ci"
	firstVMID    = 10_000
)

// cluster is a Proxmox VE with runners that all have their jobs. Its lists are made once; a look costs it nothing but
// the sending.
type cluster struct {
	*httptest.Server

	mu        sync.Mutex
	resources []byte
	vms       []byte
	lists     int // calls that list VMs
	others    map[string]int
	asked     chan time.Time // when a clone was asked for
	refuse    chan struct{}  // lets it be refused
}

// name is that of the i-th runner.
func name(i int) string { return fmt.Sprintf("bench-%010x", i) }

// newCluster has live runners on it.
func newCluster(t *testing.T, live int) *cluster {
	t.Helper()
	c := &cluster{others: map[string]int{}, asked: make(chan time.Time, 1), refuse: make(chan struct{})}
	all := []map[string]any{
		{"id": "node/" + node, "type": "node", "node": node, "status": "online", "maxcpu": 4096, "cpu": 0.1, "maxmem": 1 << 44, "mem": 1 << 34},
		{"id": "storage/" + node + "/local-lvm", "type": "storage", "node": node, "storage": "local-lvm", "status": "available", "plugintype": "lvmthin", "content": "images,rootdir", "maxdisk": 1 << 44, "disk": 1 << 34, "shared": 0},
		{"id": "qemu/" + strconv.Itoa(template), "type": "qemu", "node": node, "vmid": template, "name": templateName, "status": "stopped", "template": 1, "maxcpu": 2, "maxmem": 4 << 30, "maxdisk": 8 << 30, "pool": "templates"},
	}
	on := []map[string]any{}
	tags := "mayfly;mayfly-" + installation + ";pool-ep"
	for i := range live {
		all = append(all, map[string]any{
			"id": fmt.Sprintf("qemu/%d", firstVMID+i), "type": "qemu", "node": node, "vmid": firstVMID + i, "name": name(i), "status": "running", "template": 0, "tags": tags,
			"cpu": 0.97, "maxcpu": 2, "mem": 3 << 30, "maxmem": 4 << 30, "disk": 0, "maxdisk": 8 << 30, "uptime": 300, "netin": 123456789, "netout": 98765432, "diskread": 1 << 30, "diskwrite": 1 << 28, "pool": resourcePool,
		})
		on = append(on, map[string]any{
			"vmid": firstVMID + i, "name": name(i), "status": "running", "tags": tags, "cpus": 2, "cpu": 0.97, "mem": 3 << 30, "maxmem": 4 << 30, "disk": 0, "maxdisk": 8 << 30, "uptime": 300, "netin": 123456789, "netout": 98765432, "pid": 4000 + i,
		})
	}
	c.resources, c.vms = data(t, all), data(t, on)
	created := time.Now().Add(-5 * time.Minute)
	mux := http.NewServeMux()
	const api = "/api2/json"
	list := func(what *[]byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c.mu.Lock()
			c.lists++
			c.mu.Unlock()
			reply(w, *what)
		}
	}
	mux.HandleFunc("GET "+api+"/cluster/resources", list(&c.resources))
	mux.HandleFunc("GET "+api+"/nodes/{node}/qemu", list(&c.vms))
	mux.HandleFunc("GET "+api+"/nodes/{node}/tasks", func(w http.ResponseWriter, _ *http.Request) { reply(w, []byte(`{"data":[],"total":0}`)) })
	mux.HandleFunc("GET "+api+"/cluster/nextid", func(w http.ResponseWriter, r *http.Request) {
		reply(w, []byte(`{"data":"`+r.URL.Query().Get("vmid")+`"}`))
	})
	mux.HandleFunc("GET "+api+"/nodes/{node}/qemu/{vmid}/config", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("vmid"))
		config := map[string]any{
			"name": templateName, "template": 1, "agent": "1", "boot": "order=scsi0", "cores": 2, "memory": "4096", "digest": "d", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
			"scsi0": "local-lvm:base-9000-disk-0,size=8G",
		}
		if id != template {
			m := runner.Marker{Installation: installation, Runner: name(id - firstVMID), VMID: id, Pool: "ep", Created: created, Version: "bench", Template: template}
			config["name"], config["description"], config["reboot"], config["tags"] = name(id-firstVMID), m.Description(), 0, tags
			delete(config, "template")
		}
		reply(w, data(t, config))
	})
	mux.HandleFunc("POST "+api+"/nodes/{node}/qemu/{vmid}/clone", func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		select {
		case c.asked <- at:
			select {
			case <-c.refuse:
			case <-r.Context().Done():
			}
		default: // nobody waits for one
		}
		// As Proxmox says it of a VMID that is taken: nothing is wrong with the pool then.
		http.Error(w, `{"data":null,"message":"unable to create VM 5: config file already exists\n"}`, http.StatusInternalServerError)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.others[r.Method+" "+r.URL.Path]++
		c.mu.Unlock()
		http.Error(w, `{"data":null}`, http.StatusNotImplemented)
	})
	c.Server = httptest.NewTLSServer(mux)
	t.Cleanup(c.Close)
	return c
}

func (c *cluster) listed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lists
}

func reply(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_, _ = w.Write(body)
}

func data(t *testing.T, of any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"data": of})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func lines(of map[string]int) string {
	var b strings.Builder
	for what, n := range of {
		fmt.Fprintf(&b, "%d %s\n", n, what)
	}
	return b.String()
}
