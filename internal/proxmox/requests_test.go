package proxmox_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// TestCallsSendWhatProxmoxAccepts pins each call's request: parameters in the query of GET and DELETE, in the body
// of POST and PUT, Content-Length always, never chunks.
func TestCallsSendWhatProxmoxAccepts(t *testing.T) {
	const done = `{"data":"` + upid + `"}`
	for _, tc := range []struct {
		name, reply, request string
		form                 url.Values
		json                 string
		call                 func(context.Context, *proxmox.Client) error
	}{
		{
			name: "version", reply: `{"data":{"version":"9.2.11"}}`, request: "GET /api2/json/version",
			call: func(ctx context.Context, c *proxmox.Client) error { _, err := c.Version(ctx); return err },
		},
		{
			name: "tasks", reply: `{"data":[]}`,
			request: "GET /api2/json/nodes/pve1/tasks?limit=500&since=1795488768&source=all&typefilter=qmclone&vmid=9000",
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.Tasks(ctx, "pve1", proxmox.TaskFilter{
					Since: time.Unix(1795488768, 999), Type: "qmclone", VMID: 9000, Source: "all", Limit: 500,
				})
				return err
			},
		},
		{
			name: "task log", reply: `{"data":[]}`,
			request: "GET /api2/json/nodes/pve1/tasks/" + url.PathEscape(upid) + "/log?limit=1&start=0",
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.TaskLog(ctx, upid, 0, 1)
				return err
			},
		},
		{
			name: "stop task", reply: `{"data":null}`, request: "DELETE /api2/json/nodes/pve1/tasks/" + url.PathEscape(upid),
			call: func(ctx context.Context, c *proxmox.Client) error { return c.StopTask(ctx, upid) },
		},
		{
			name: "linked clone", reply: done, request: "POST /api2/json/nodes/pve1/qemu/9000/clone",
			form: url.Values{"newid": {"201"}, "full": {"0"}, "name": {"ep-1"}, "description": {"ä & b\nc"}, "pool": {"ci"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.Clone(ctx, "pve1", 9000, proxmox.CloneOptions{NewID: 201, Name: "ep-1", Description: "ä & b\nc", Pool: "ci"})
				return err
			},
		},
		{
			name: "full clone elsewhere", reply: done, request: "POST /api2/json/nodes/pve1/qemu/9000/clone",
			form: url.Values{"newid": {"201"}, "full": {"1"}, "target": {"pve2"}, "storage": {"fast"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.Clone(ctx, "pve1", 9000, proxmox.CloneOptions{NewID: 201, Target: "pve2", Storage: "fast", Full: true})
				return err
			},
		},
		{
			name: "set config", reply: `{"data":null}`, request: "PUT /api2/json/nodes/pve1/qemu/201/config",
			form: url.Values{"tags": {"a;b"}, "onboot": {"0"}, "delete": {"ide2,net1"}, "digest": {"abc"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				return c.SetConfig(ctx, "pve1", 201, map[string]string{"tags": "a;b", "onboot": "0"}, []string{"ide2", "net1"}, "abc")
			},
		},
		{
			name: "start", reply: done, request: "POST /api2/json/nodes/pve1/qemu/201/status/start", form: url.Values{},
			call: func(ctx context.Context, c *proxmox.Client) error { _, err := c.Start(ctx, "pve1", 201); return err },
		},
		{
			name: "stop", reply: done, request: "POST /api2/json/nodes/pve1/qemu/201/status/stop",
			form: url.Values{"overrule-shutdown": {"1"}},
			call: func(ctx context.Context, c *proxmox.Client) error { _, err := c.Stop(ctx, "pve1", 201); return err },
		},
		{
			name: "shutdown", reply: done, request: "POST /api2/json/nodes/pve1/qemu/201/status/shutdown",
			form: url.Values{"timeout": {"2"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.Shutdown(ctx, "pve1", 201, 1500*time.Millisecond)
				return err
			},
		},
		{
			name: "delete", reply: done, request: "DELETE /api2/json/nodes/pve1/qemu/201",
			call: func(ctx context.Context, c *proxmox.Client) error { _, err := c.Delete(ctx, "pve1", 201); return err },
		},
		{
			name: "create", reply: done, request: "POST /api2/json/nodes/pve1/qemu",
			form: url.Values{"vmid": {"201"}, "pool": {"ci"}, "scsi0": {"fast:0,import-from=local:import/x.qcow2"}, "memory": {"2048"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.CreateVM(ctx, "pve1", proxmox.NewVM{VMID: 201, Pool: "ci", Options: map[string]string{
					"scsi0": "fast:0,import-from=local:import/x.qcow2", "memory": "2048",
				}})
				return err
			},
		},
		{
			name: "resize", reply: done, request: "PUT /api2/json/nodes/pve1/qemu/201/resize",
			form: url.Values{"disk": {"scsi0"}, "size": {"20481M"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.Resize(ctx, "pve1", 201, "scsi0", 20*runner.GiB+1)
				return err
			},
		},
		{
			name: "template", reply: done, request: "POST /api2/json/nodes/pve1/qemu/201/template", form: url.Values{},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.MakeTemplate(ctx, "pve1", 201)
				return err
			},
		},
		{
			name: "next VMID", reply: `{"data":"105"}`, request: "GET /api2/json/cluster/nextid",
			call: func(ctx context.Context, c *proxmox.Client) error {
				id, err := c.NextID(ctx)
				if err == nil && id != 105 {
					err = errors.New("it isn't 105")
				}
				return err
			},
		},
		{
			name: "download", reply: done, request: "POST /api2/json/nodes/pve1/storage/local/download-url",
			form: url.Values{
				"content": {"import"}, "filename": {"x.qcow2"}, "url": {"https://images.example/x.qcow2"},
				"checksum": {"abc"}, "checksum-algorithm": {"sha512"},
			},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.DownloadURL(ctx, "pve1", proxmox.Download{
					Storage: "local", Content: "import", Name: "x.qcow2", URL: "https://images.example/x.qcow2", Checksum: "abc", Algorithm: "sha512",
				})
				return err
			},
		},
		{
			name: "download unchecked", reply: done, request: "POST /api2/json/nodes/pve1/storage/local/download-url",
			form: url.Values{"content": {"iso"}, "filename": {"x.iso"}, "url": {"https://pve.example/x"}, "verify-certificates": {"0"}},
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.DownloadURL(ctx, "pve1", proxmox.Download{
					Storage: "local", Content: "iso", Name: "x.iso", URL: "https://pve.example/x", AnyCertificate: true,
				})
				return err
			},
		},
		{
			name: "list ISO images", reply: `{"data":[]}`, request: "GET /api2/json/nodes/pve1/storage/local/content?content=iso",
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.Volumes(ctx, "pve1", "local", "iso")
				return err
			},
		},
		{
			name: "delete ISO image", reply: done, request: "DELETE /api2/json/nodes/pve1/storage/local/content/local:iso/x.iso",
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.DeleteVolume(ctx, "pve1", "local:iso/x.iso")
				return err
			},
		},
		{
			name: "ping", reply: `{"data":{"result":{}}}`, request: "POST /api2/json/nodes/pve1/qemu/201/agent/ping", form: url.Values{},
			call: func(ctx context.Context, c *proxmox.Client) error { return c.AgentPing(ctx, "pve1", 201) },
		},
		{
			name: "exec", reply: `{"data":{"pid":7}}`, request: "POST /api2/json/nodes/pve1/qemu/201/agent/exec",
			json: `{"command":["/bin/sh","-c","a b"],"input-data":"x\n"}`,
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.AgentExec(ctx, "pve1", 201, []string{"/bin/sh", "-c", "a b"}, []byte("x\n"))
				return err
			},
		},
		{
			name: "exec without stdin", reply: `{"data":{"pid":7}}`, request: "POST /api2/json/nodes/pve1/qemu/201/agent/exec",
			json: `{"command":["/bin/true"]}`,
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.AgentExec(ctx, "pve1", 201, []string{"/bin/true"}, nil)
				return err
			},
		},
		{
			name: "exec status", reply: `{"data":{"exited":1,"signal":9}}`, request: "GET /api2/json/nodes/pve1/qemu/201/agent/exec-status?pid=7",
			call: func(ctx context.Context, c *proxmox.Client) error {
				st, err := c.AgentExecStatus(ctx, "pve1", 201, 7)
				if st != (proxmox.ExecStatus{Exited: true, Signal: 9}) {
					return errors.Join(err, errors.New("wrong status"))
				}
				return err
			},
		},
		{
			name: "file read", reply: `{"data":{"content":"{}","bytes-read":2}}`,
			request: "GET /api2/json/nodes/pve1/qemu/201/agent/file-read?file=%2Frun%2Fmayfly%2Fresult.json",
			call: func(ctx context.Context, c *proxmox.Client) error {
				_, err := c.AgentFileRead(ctx, "pve1", 201, "/run/mayfly/result.json")
				return err
			},
		},
		{
			name: "odd node name", reply: `{"data":[]}`, request: "GET /api2/json/nodes/a%2F..%2Fb%3Fc/qemu",
			call: func(ctx context.Context, c *proxmox.Client) error { _, err := c.NodeVMs(ctx, "a/../b?c"); return err },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWire(t, false, always(reply("200 OK", tc.reply)))
			if err := tc.call(t.Context(), newClient(t, nil, w.URL+"/api2/json/")); err != nil {
				t.Fatal(err)
			}
			sent := w.requests()
			if len(sent) != 1 {
				t.Fatalf("sent %d requests", len(sent))
			}
			r := sent[0]
			if got := r.Method + " " + r.URI; got != tc.request {
				t.Errorf("sent %s, want %s", got, tc.request)
			}
			if got, want := r.Header.Get("Authorization"), "PVEAPIToken="+tokenID+"="+planted; got != want {
				t.Errorf("authorization %q, want %q", got, want)
			}
			changes := r.Method != http.MethodGet && r.Method != http.MethodDelete
			if r.Chunked || changes && r.Length != int64(len(r.Body)) || !changes && r.Body != "" {
				t.Errorf("length %d, chunked %v, body %q", r.Length, r.Chunked, r.Body)
			}
			if tc.json != "" {
				if r.Body != tc.json || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("body %s of type %s, want %s", r.Body, r.Header.Get("Content-Type"), tc.json)
				}
				return
			}
			form, err := url.ParseQuery(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.form, form); changes && diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTooLongOrUnsendableStdinIsRefusedBeforeSending(t *testing.T) {
	c := newClient(t, nil, refused(t))
	for name, stdin := range map[string][]byte{
		"too long":  []byte(strings.Repeat("a", 64<<10+1)),
		"not ASCII": []byte("identität"),
	} {
		_, err := c.AgentExec(t.Context(), "pve1", 201, []string{"/bin/cat"}, stdin)
		if !errors.Is(err, proxmox.BadParameter) || strings.Contains(err.Error(), "aaaa") || strings.Contains(err.Error(), "ident") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.AgentExec(t.Context(), "pve1", 201, nil, nil); !errors.Is(err, proxmox.BadParameter) {
		t.Errorf("no command: %v", err)
	}
	w := newWire(t, false, always(reply("200 OK", `{"data":{"pid":1}}`)))
	longest := []byte(strings.Repeat("+", 64<<10))
	if _, err := newClient(t, nil, w.URL).AgentExec(t.Context(), "pve1", 201, []string{"/bin/cat"}, longest); err != nil {
		t.Errorf("64 KiB: %v", err)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(w.requests()[0].Body), &body); err != nil || body["input-data"] != string(longest) {
		t.Errorf("64 KiB didn't arrive: %v", err)
	}
}

func TestWhatIsNoTaskIsNotAskedFor(t *testing.T) {
	c := newClient(t, nil, refused(t))
	for _, bad := range []proxmox.UPID{"", "UPID:pve1", "UPID:../x:00004812:0007DA4D:6B04FAF6:qmclone:9000:ci@pve:"} {
		if _, err := c.TaskStatus(t.Context(), bad); !errors.Is(err, proxmox.BadParameter) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestFileTooLongToReadWholeIsAnError(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"data":{"content":"abc","bytes-read":3,"truncated":1}}`)))
	if got, err := newClient(t, nil, w.URL).AgentFileRead(t.Context(), "pve1", 201, "/x"); !errors.Is(err, proxmox.BadParameter) {
		t.Errorf("%q, %v", got, err)
	}
}
