package proxmox_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// fuzzClient answers every request with one reply.
func fuzzClient(t *testing.T, status int, reason, body string) *proxmox.Client {
	t.Helper()
	c, err := proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: tokenID, TokenSecret: runner.NewSecret(planted),
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				Status: reason, StatusCode: status, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.SetPause(0)
	return c
}

// FuzzReply: whatever a server says, no call panics, every failure has a kind and is one line, a read never may have
// happened, and only a 2xx is a success.
func FuzzReply(f *testing.F) {
	f.Add(200, "200 OK", `{"data":"`+upid+`"}`)
	f.Add(200, "200 OK", `{"data":[{"vmid":"201","tags":"a;b","type":"qemu","maxcpu":1.5}],"total":1}`)
	f.Add(200, "200 OK", `{"data":{"description":"x","agent":"1,enabled=1","tags":"; ,"}}`)
	f.Add(400, "400 Parameter verification failed.", `{"errors":{"vmid":"VM 1 already exists"},"message":"x\n"}`)
	f.Add(403, "403 Permission check failed (/vms/9000, VM.Clone)", "")
	f.Add(500, "500 VM is locked (clone)", `{"message":7,"errors":[]}`)
	f.Add(596, "596 Broken pipe", "")
	f.Add(301, "", "{")
	f.Fuzz(func(t *testing.T, status int, reason, body string) {
		status = 200 + (status%400+400)%400
		c := fuzzClient(t, status, reason, body)
		_, resources := c.Resources(t.Context())
		_, vms := c.NodeVMs(t.Context(), "pve1")
		_, config := c.VMConfig(t.Context(), "pve1", 201)
		_, tasks := c.Tasks(t.Context(), "pve1", proxmox.TaskFilter{})
		_, log := c.TaskLog(t.Context(), upid, 0, 0)
		_, rules := c.AllowedTags(t.Context())
		_, exited := c.AgentExecStatus(t.Context(), "pve1", 201, 1)
		free, nextid := c.VMIDFree(t.Context(), 201)
		reads := []error{resources, vms, config, tasks, log, rules, exited, nextid}
		_, start := c.Start(t.Context(), "pve1", 201)
		_, exec := c.AgentExec(t.Context(), "pve1", 201, []string{"x"}, nil)
		set := c.SetConfig(t.Context(), "pve1", 201, nil, nil, "")
		failed := c.TaskError(t.Context(), upid, body)
		if free && (nextid != nil || status > 299) {
			t.Errorf("%d %q makes a VMID free", status, body)
		}
		for i, err := range append(reads, start, exec, set, failed) {
			if err == nil {
				if status > 299 && i != 7 && i != len(reads)+3 {
					t.Errorf("call %d takes %d for a success", i, status)
				}
				continue
			}
			var e *proxmox.Error
			if !errors.As(err, &e) || e.Kind < proxmox.NotFound || e.Kind > proxmox.TaskFailed {
				t.Errorf("call %d: %#v", i, err)
				continue
			}
			if strings.ContainsAny(err.Error(), "\n\r") || !utf8.ValidString(err.Error()) {
				t.Errorf("call %d: %q", i, err)
			}
			if i < len(reads) && e.Kind == proxmox.MaybeHappened {
				t.Errorf("call %d: a read may have happened: %v", i, err)
			}
		}
	})
}
