package proxmox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"mayfly/internal/proxmox"
)

// TestRecordedTasksEndAsTheyDid waits for every task whose end was recorded, with its recorded log where there is one.
func TestRecordedTasksEndAsTheyDid(t *testing.T) {
	logs := map[string]string{}
	var ends []recording
	for _, r := range recordings(t) {
		path, _, _ := strings.Cut(r.Path, "?")
		path, err := url.PathUnescape(path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case !strings.Contains(path, "/tasks/UPID:") || !strings.HasPrefix(r.Reply, "HTTP/1.1 200"):
		case strings.HasSuffix(path, "/log") && strings.Contains(r.Reply, "TASK "):
			logs[strings.TrimSuffix(path, "/log")] = r.Reply
		case strings.HasSuffix(path, "/status") && strings.Contains(r.Reply, `"exitstatus"`):
			r.Path = strings.TrimSuffix(path, "/status")
			ends = append(ends, r)
		}
	}
	var current recording
	w := newWire(t, false, func(r request) []byte {
		uri, _, _ := strings.Cut(r.URI, "?")
		path, err := url.PathUnescape(strings.TrimPrefix(uri, "/api2/json"))
		switch {
		case err != nil:
			return bare("400 Bad Request")
		case path == current.Path+"/status":
			return []byte(current.Reply)
		case strings.HasSuffix(path, "/log") && logs[strings.TrimSuffix(path, "/log")] != "":
			return []byte(logs[strings.TrimSuffix(path, "/log")])
		}
		return reply("400 Parameter verification failed.", `{"data":null,"errors":{"upid":"no such task"},"message":"Parameter verification failed.\n"}`)
	})
	c := newClient(t, nil, w.URL)
	var table strings.Builder
	for _, r := range ends {
		current = r
		_, id, _ := strings.Cut(r.Path, "/tasks/")
		u, err := proxmox.ParseUPID(id)
		if err != nil {
			t.Fatal(err)
		}
		exit := decodedExit(t, r)
		err = c.WaitTask(t.Context(), u)
		if (err == nil) != (exit == "OK" || strings.HasPrefix(exit, "WARNINGS: ")) {
			t.Errorf("%s: %q gives %v", r.Name, exit, err)
		}
		var e *proxmox.Error
		if err != nil && (!errors.As(err, &e) || !strings.HasPrefix(e.Message, exit)) {
			t.Errorf("%s: %q isn't in %q", r.Name, exit, err)
		}
		if e == nil {
			fmt.Fprintf(&table, "%s\t-\n", r.Name)
			continue
		}
		if e.Kind == proxmox.MaybeHappened || e.Kind == proxmox.NotFound && !strings.Contains(exit, "onfiguration file") {
			t.Errorf("%s: %q is %v", r.Name, exit, e.Kind)
		}
		fmt.Fprintf(&table, "%s\t%v\t%v\n", r.Name, e.Kind, err)
	}
	golden(t, "testdata/tasks.golden", table.String())
}

func decodedExit(t *testing.T, r recording) string {
	t.Helper()
	_, _, body := r.parse(t)
	return object(decode(t, body).(map[string]any)).text("exitstatus")
}

func TestCauseOfAFailedTaskComesFromItsLog(t *testing.T) {
	const destroy = "UPID:pve1:00004812:0007DA4D:6B04FAF6:qmdestroy:201:ci@pve!runner:"
	for _, tc := range []struct {
		name, exit string
		upid       proxmox.UPID
		log        []string
		kind       proxmox.Kind
		want, not  string
	}{
		{
			name: "no memory", exit: "start failed: QEMU exited with code 1",
			log:  []string{"generating cloud-init ISO", "kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory", "TASK ERROR: start failed: QEMU exited with code 1"},
			kind: proxmox.TaskFailed, want: "code 1: kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory; the node has too little free memory",
		},
		{
			name: "storage full", exit: "clone failed: copy failed: command '/usr/bin/qemu-img convert' failed: exit code 1",
			log: []string{
				"creating a clone of VM 9000 with ID 201", "transferred 1.0 GiB of 8.0 GiB (12.50%)",
				"qemu-img: error while writing at byte 1073741824: No space left on device", "transferred 1.1 GiB of 8.0 GiB (13.00%)",
				"TASK ERROR: clone failed: copy failed: command '/usr/bin/qemu-img convert' failed: exit code 1",
			},
			kind: proxmox.TaskFailed, want: "No space left on device; the storage is full: free space there", not: "transferred",
		},
		{
			name: "nothing to add", exit: "bridge 'vmbr77' does not exist",
			log:  []string{"generating cloud-init ISO", "TASK ERROR: bridge 'vmbr77' does not exist"},
			kind: proxmox.TaskFailed, want: "on pve1: bridge 'vmbr77' does not exist", not: "cloud-init",
		},
		{name: "killed", exit: "unexpected status", log: []string{"creating a clone of VM 9000 with ID 201"}, kind: proxmox.TaskFailed, want: "its worker was killed"},
		{name: "no word", exit: "", kind: proxmox.TaskFailed, want: "no exit status"},
		{name: "a volume isn't the VM", exit: "volume 'local:150/vm-150-disk-0.qcow2' does not exist", kind: proxmox.TaskFailed},
		{name: "a clone that began isn't unavailable", exit: "clone failed: unable to open file '/etc/pve/nodes/pve1/qemu-server/130.conf.tmp.7' - Permission denied", kind: proxmox.TaskFailed},
		{
			name: "nobody serves the image", upid: "UPID:pve1:00004812:0007DA4D:6B04FAF6:download:x.qcow2:ci@pve!runner:",
			exit: "download failed: command 'wget --progress=dot:giga -O /var/lib/vz/import/x.qcow2.tmp_dwnl.7 http://127.0.0.1:9/x' failed: exit code 4",
			log:  []string{"downloading http://127.0.0.1:9/x to /var/lib/vz/import/x.qcow2", "Connecting to 127.0.0.1:9... failed: Connection refused."},
			kind: proxmox.TaskFailed, want: "failed: Connection refused.; the node fetches it by itself",
		},
		{
			name: "another image than promised", exit: "checksum mismatch: got 'aa' != expect 'bb'",
			kind: proxmox.TaskFailed, want: "isn't the one that the checksum is of",
		},
		{name: "another image is there", exit: "checksum mismatch: got 'aa' != expect 'bb', aborting", kind: proxmox.Exists, want: "delete it"},
		{name: "a file is there", exit: "refusing to override existing file '/var/lib/vz/import/x.qcow2'", kind: proxmox.Exists},
		{name: "locked", exit: "VM is locked (backup)", kind: proxmox.Locked},
		{name: "template locked", exit: "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout", kind: proxmox.Busy},
		{name: "storage lock", exit: "cfs-lock 'storage-shr' error: got lock request timeout", kind: proxmox.TaskFailed, want: "look what it has left"},
		{name: "storage slow", exit: "'storage-shr'-locked command timed out - aborting", kind: proxmox.TaskFailed},
		{name: "pool lock", exit: "can't add VM 201 to pool 'ci': cfs-lock 'file-user_cfg' error: no quorum!", kind: proxmox.TaskFailed},
		{name: "storage lock of a removal", upid: destroy, exit: "cfs-lock 'storage-shr' error: got lock request timeout", kind: proxmox.Busy},
		{name: "removal without quorum", upid: destroy, exit: "cfs-lock 'storage-shr' error: no quorum!", kind: proxmox.Busy},
		{name: "no quorum from the start", exit: "cluster not ready - no quorum?", kind: proxmox.Unavailable},
		{name: "taken", exit: "unable to create VM 170: config file already exists", kind: proxmox.Exists},
		{name: "taken elsewhere", exit: "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/201.conf' failed: File exists", kind: proxmox.Exists},
		{name: "runs already", exit: "VM 101 already running", kind: proxmox.Exists},
		{name: "gone", exit: "Configuration file 'nodes/pve1/qemu-server/7777.conf' does not exist", kind: proxmox.NotFound},
		{name: "warnings need a number", exit: "WARNINGS: some", kind: proxmox.TaskFailed},
		{name: "start too slow", exit: "start failed: command '/usr/bin/kvm -id 1' failed: got timeout", kind: proxmox.TaskFailed},
		{name: "guest won't", exit: "VM quit/powerdown failed - got timeout", kind: proxmox.TaskFailed, want: "stop it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWire(t, false, func(r request) []byte { return logReply(r, tc.log) })
			if tc.upid == "" {
				tc.upid = upid
			}
			err := newClient(t, nil, w.URL).TaskError(t.Context(), tc.upid, tc.exit)
			if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) || tc.not != "" && strings.Contains(err.Error(), tc.not) {
				t.Errorf("error %v, want %v with %q, without %q", err, tc.kind, tc.want, tc.not)
			}
			if asked := len(w.requests()); (asked > 0) != (tc.kind == proxmox.TaskFailed) {
				t.Errorf("the log was asked for %d times", asked)
			}
		})
	}
}

// logReply answers as Proxmox does: a window of the log, and how long it is.
func logReply(r request, log []string) []byte {
	u, err := url.Parse(r.URI)
	if err != nil || !strings.HasSuffix(u.Path, "/log") {
		return bare("501 Method not implemented")
	}
	var start, limit int
	_, _ = fmt.Sscan(u.Query().Get("start"), &start)
	if _, err := fmt.Sscan(u.Query().Get("limit"), &limit); err != nil {
		limit = 50
	}
	var lines []string
	for i := start; i < min(len(log), start+limit); i++ {
		lines = append(lines, fmt.Sprintf(`{"n":%d,"t":%q}`, i+1, log[i]))
	}
	return reply("200 OK", fmt.Sprintf(`{"total":%d,"data":[%s]}`, len(log), strings.Join(lines, ",")))
}

func TestCauseAtTheEndOfALongLogIsFound(t *testing.T) {
	log := []string{"creating a clone of VM 9000 with ID 201", "unable to do something early that did not matter"}
	for i := range 300 {
		log = append(log, fmt.Sprintf("transferred %d MiB of 8.0 GiB", i))
	}
	log = append(log, "qemu-img: No space left on device", "TASK ERROR: clone failed: x")
	w := newWire(t, false, func(r request) []byte { return logReply(r, log) })
	err := newClient(t, nil, w.URL).TaskError(t.Context(), upid, "clone failed: x")
	if err == nil || !strings.Contains(err.Error(), "x: qemu-img: No space left on device") {
		t.Errorf("error %v", err)
	}
	if n := len(w.requests()); n != 2 {
		t.Errorf("%d requests for one log, want 2", n)
	}
}

func TestFinishedTasksWithWarningsAreSuccesses(t *testing.T) {
	c := newClient(t, nil, refused(t)) // nothing may be asked
	for _, exit := range []string{"OK", "WARNINGS: 1", "WARNINGS: 12"} {
		if err := c.TaskError(t.Context(), upid, exit); err != nil {
			t.Errorf("%q: %v", exit, err)
		}
	}
}

func TestUnreadableLogDoesNotHideTheFailure(t *testing.T) {
	w := newWire(t, false, always(bare("403 Permission check failed")))
	err := newClient(t, nil, w.URL).TaskError(t.Context(), upid, "start failed: QEMU exited with code 1")
	if !errors.Is(err, proxmox.TaskFailed) || !strings.Contains(err.Error(), "QEMU exited with code 1") {
		t.Errorf("error %v", err)
	}
}

// transport answers in process, in virtual time.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWaitingRidesOutTransientFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []string{
			"", "595 Connection refused", "596 Connection timed out", `{"data":{"status":"running"}}`, "500 got no idea",
			`{"data":{"status":"running","exitstatus":""}}`, `{"data":{"status":"stopped","exitstatus":"OK"}}`,
		}
		c := newClient(t, func(o *proxmox.Options) {
			o.Transport = transport(func(r *http.Request) (*http.Response, error) {
				a := answers[0]
				answers = answers[1:]
				return inProcess(r, a)
			})
		}, "https://pve1:8006")
		if err := c.WaitTask(t.Context(), upid); err != nil {
			t.Error(err)
		}
		if len(answers) != 0 {
			t.Errorf("not asked for: %q", answers)
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, func(o *proxmox.Options) {
			o.Transport = transport(func(r *http.Request) (*http.Response, error) {
				return inProcess(r, `{"data":{"status":"running"}}`)
			})
		}, "https://pve1:8006")
		ctx, cancel := context.WithTimeout(t.Context(), 90*1e9)
		defer cancel()
		err := c.WaitTask(ctx, upid)
		if !errors.Is(err, proxmox.MaybeHappened) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want MaybeHappened and DeadlineExceeded", err)
		}
	})
}

func TestWaitingStopsAtOnceWhenTheTaskCannotBeSeen(t *testing.T) {
	for status, kind := range map[string]proxmox.Kind{
		"403 Permission check failed (/nodes/pve1, Sys.Audit)": proxmox.Permission,
		"401 Authentication failed!":                           proxmox.Unauthorized,
	} {
		w := newWire(t, false, always(bare(status)))
		if err := newClient(t, nil, w.URL).WaitTask(t.Context(), upid); !errors.Is(err, kind) {
			t.Errorf("%s: %v, want %v", status, err, kind)
		}
		if n := len(w.requests()); n != 1 {
			t.Errorf("%s: asked %d times", status, n)
		}
	}
}

func TestLogLinesComeInTheirOrder(t *testing.T) {
	w := newWire(t, false, always(reply("200 OK", `{"total":"3","data":[{"n":3,"t":"c"},{"n":"1","t":"a"},{"n":2,"t":""}]}`)))
	got, err := newClient(t, nil, w.URL).TaskLog(t.Context(), upid, 0, 0)
	if err != nil || strings.Join(got, "|") != "a||c" {
		t.Errorf("%q, %v", got, err)
	}
}
