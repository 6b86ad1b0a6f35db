package proxmox_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/proxmox"
)

const ok = `{"data":{"version":"9.2.11","release":"9.2"}}`

func TestRepliesBecomeKinds(t *testing.T) {
	read := func(ctx context.Context, c *proxmox.Client) error { _, err := c.VMConfig(ctx, "pve1", 201); return err }
	change := func(ctx context.Context, c *proxmox.Client) error { _, err := c.Start(ctx, "pve1", 201); return err }
	set := func(ctx context.Context, c *proxmox.Client) error {
		return c.SetConfig(ctx, "pve1", 201, map[string]string{"tags": "x"}, nil, "")
	}
	exec := func(ctx context.Context, c *proxmox.Client) error {
		_, err := c.AgentExec(ctx, "pve1", 201, []string{"/opt/x"}, nil)
		return err
	}
	ping := func(ctx context.Context, c *proxmox.Client) error { return c.AgentPing(ctx, "pve1", 201) }
	for _, tc := range []struct {
		name  string
		reply []byte
		call  func(context.Context, *proxmox.Client) error
		kind  proxmox.Kind
		want  string
	}{
		// Another server's 404 must never pass for "the VM is gone".
		{"404 of another server", reply("404 Not Found", "<html>"), read, proxmox.Unavailable, "404 Not Found; that is no answer of Proxmox VE's"},
		{"404 to a change", reply("404 Not Found", ""), change, proxmox.Unavailable, ""},
		{"page instead of JSON", reply("200 OK", "<html>"), read, proxmox.Unavailable, "isn't what Proxmox VE sends"},
		{"page instead of a task", reply("200 OK", "<html>"), change, proxmox.MaybeHappened, "may have happened: "},
		{"no task", reply("200 OK", `{"data":null}`), change, proxmox.MaybeHappened, "names no task"},
		{"no pid", reply("200 OK", `{"data":{}}`), exec, proxmox.MaybeHappened, "names no pid"},
		{"no config", reply("200 OK", `{"data":null}`), read, proxmox.Unavailable, "no config"},
		{"proxy without backend, read", bare("503 Service Unavailable"), read, proxmox.Unavailable, "503"},
		{"proxy without backend, change", bare("502 Bad Gateway"), change, proxmox.MaybeHappened, "502"},
		{"not connected, change", bare("595 No route to host"), change, proxmox.Unavailable, "595 No route to host"},
		{"not connected, read", bare("595 Connection refused"), read, proxmox.Unavailable, "595 Connection refused"},
		{"lost, change", bare("596 Connection timed out"), change, proxmox.MaybeHappened, "596 Connection timed out"},
		{"lost, read", bare("596 Connection timed out"), read, proxmox.Unavailable, "596"},
		{"lost, ping", bare("596 Connection timed out"), ping, proxmox.Unavailable, "596"},
		{"program missing", bare("596 Broken pipe"), exec, proxmox.MaybeHappened, "check that /opt/x is in the template"},
		{"body error", bare("597 Broken pipe"), change, proxmox.MaybeHappened, ""},
		{
			"task list locked", reply("500 can't lock file '/var/log/pve/tasks/.active.lock' - got timeout", `{"data":null}`), change,
			proxmox.MaybeHappened, "its task may run",
		},
		{"VM lock", reply("500 can't lock file '/var/lock/qemu-server/lock-201.conf' - got timeout", ""), set, proxmox.Busy, "try again"},
		{"unknown failure of a read", reply("500 something new", ""), read, proxmox.Unavailable, "500 something new"},
		{"unknown failure of a change", reply("500 something new", ""), set, proxmox.TaskFailed, "500 something new"},
		{"agent slow, exec", reply("500 VM 201 qga command 'guest-exec' failed - got timeout", ""), exec, proxmox.MaybeHappened, "ask the guest"},
		{"agent slow, ping", reply("500 VM 201 qga command 'guest-ping' failed - got timeout", ""), ping, proxmox.Unavailable, ""},
		{"agent blocks it", reply("500 Agent error: Command guest-exec has been disabled", ""), exec, proxmox.BadParameter, "qemu-guest-agent"},
		{"tag refused", bare("403 Permission check failed (/, Sys.Modify for modifying tag 'x')"), set, proxmox.Permission, "or do without"},
		{"Latin-1 reason", bare("500 Schl\xfcssel"), set, proxmox.TaskFailed, "Schlüssel"},
		{"no reason at all", []byte("HTTP/1.1 500\r\nConnection: close\r\n\r\n"), set, proxmox.TaskFailed, "Proxmox answers 500"},
		{"too many", bare("429 Too Many Requests"), read, proxmox.Unavailable, ""},
		{"forged log lines", reply("500 x", `{"message":"a\nlevel=ERROR msg=forged\r\n\u001b[2J"}`), set, proxmox.TaskFailed, "500 a level=ERROR msg=forged [2J"},
		{"not HTTP", []byte("SSH-2.0-OpenSSH_9.2\r\n"), change, proxmox.MaybeHappened, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWire(t, false, always(tc.reply))
			err := tc.call(t.Context(), newClient(t, nil, w.URL))
			var e *proxmox.Error
			if !errors.As(err, &e) || e.Kind != tc.kind || !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %v with %q", err, tc.kind, tc.want)
			}
			if strings.ContainsAny(err.Error(), "\r\n\x1b") || !strings.HasPrefix(err.Error(), e.Op+": ") {
				t.Errorf("not one line that begins with what was wanted: %q", err)
			}
			if n := len(w.requests()); e.Op != "read config of VM 201 on pve1" && n != 1 {
				t.Errorf("a change was sent %d times", n)
			}
		})
	}
}

func TestReadsAreSentAgainAndChangesAreNot(t *testing.T) {
	var calls atomic.Int32
	w := newWire(t, false, func(request) []byte {
		if calls.Add(1)%3 != 0 {
			return nil
		}
		return reply("200 OK", ok)
	})
	c := newClient(t, nil, w.URL)
	if _, err := c.Version(t.Context()); err != nil {
		t.Errorf("a read that broke twice: %v", err)
	}
	before := len(w.requests())
	for name, change := range map[string]func() error{
		"start":  func() error { _, err := c.Start(t.Context(), "pve1", 201); return err },
		"delete": func() error { _, err := c.Delete(t.Context(), "pve1", 201); return err },
		"config": func() error {
			return c.SetConfig(t.Context(), "pve1", 201, map[string]string{"tags": "x"}, nil, "")
		},
	} {
		calls.Store(0)
		if err := change(); !errors.Is(err, proxmox.MaybeHappened) {
			t.Errorf("%s: connection closed after the request was read: %v, want MaybeHappened", name, err)
		}
	}
	if n := len(w.requests()) - before; n != 3 {
		t.Errorf("3 changes were sent %d times", n)
	}
}

func TestRefusedConnectionIsUnavailableAndNotMaybeHappened(t *testing.T) {
	c := newClient(t, nil, refused(t))
	if _, err := c.Start(t.Context(), "pve1", 201); !errors.Is(err, proxmox.Unavailable) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("change: %v", err)
	}
	if _, err := c.Resources(t.Context()); !errors.Is(err, proxmox.Unavailable) || !strings.Contains(err.Error(), "check PROXMOX_URL") {
		t.Errorf("read: %v", err)
	}
}

func TestUnexecutedCallsFailOverAndStay(t *testing.T) {
	var log lockedBuffer
	good := newWire(t, false, func(r request) []byte {
		if r.Method == http.MethodGet {
			return reply("200 OK", ok)
		}
		return reply("200 OK", `{"data":"`+upid+`"}`)
	})
	noDaemon := newWire(t, false, always(bare("595 Connection refused")))
	c := newClient(t, func(o *proxmox.Options) { o.Logger = logTo(&log) }, refused(t), noDaemon.URL, good.URL)
	if _, err := c.Start(t.Context(), "pve1", 201); err != nil {
		t.Fatalf("start past a refused connection and a 595: %v", err)
	}
	for range 3 {
		if _, err := c.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(noDaemon.requests()); n != 1 {
		t.Errorf("the endpoint without a daemon was asked %d times, want once", n)
	}
	if n := len(good.requests()); n != 4 {
		t.Errorf("the good endpoint was asked %d times, want 4", n)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want one for the fail-over:\n%s", n, log.String())
	}
}

func TestLostChangeDoesNotFailOver(t *testing.T) {
	other := newWire(t, false, always(reply("200 OK", `{"data":"`+upid+`"}`)))
	for name, answer := range map[string][]byte{
		"closed": nil, "596": bare("596 Connection timed out"), "cut short": []byte("HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{"),
		"refused for good": bare("403 Permission check failed (/vms/201, VM.PowerMgmt)"),
	} {
		w := newWire(t, false, always(answer))
		_, err := newClient(t, nil, w.URL, other.URL).Start(t.Context(), "pve1", 201)
		if want := proxmox.MaybeHappened; name != "refused for good" && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("the other endpoint was asked %d times", n)
	}
}

// TestNotExecutedThenLostMayHaveHappened: the second endpoint's fate counts, not the first one's clearer words.
func TestNotExecutedThenLostMayHaveHappened(t *testing.T) {
	first := newWire(t, false, always(bare("595 Connection refused")))
	second := newWire(t, false, always(nil))
	if _, err := newClient(t, nil, first.URL, second.URL).Start(t.Context(), "pve1", 201); !errors.Is(err, proxmox.MaybeHappened) {
		t.Errorf("%v, want MaybeHappened", err)
	}
}

func TestDeadEndpointIsTriedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		asked := map[string]int{}
		c := newClient(t, func(o *proxmox.Options) {
			o.Transport = transport(func(r *http.Request) (*http.Response, error) {
				asked[r.URL.Host]++
				if r.URL.Host == "pve1:8006" && down || r.URL.Host == "pve2:8006" && !down {
					return nil, &net.OpError{Op: "dial", Err: errors.New("no route to host")}
				}
				return inProcess(r, ok)
			})
		}, "https://pve1:8006", "https://pve2:8006")
		read := func() {
			if _, err := c.Version(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for range 10 {
			read()
		}
		if asked["pve1:8006"] != 1 || asked["pve2:8006"] != 10 {
			t.Errorf("asked %v, want pve1 once and then pve2", asked)
		}
		down = false
		read() // pve2 is down now; pve1's mark still holds, and still it is tried
		read()
		if asked["pve1:8006"] != 3 {
			t.Errorf("asked %v, want pve1 twice more", asked)
		}
	})
}

func TestSilentServerEndsInTimeAndFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		c := newClient(t, func(o *proxmox.Options) { o.Transport = transport(silent) }, "https://pve1:8006")
		began := time.Now()
		_, err := c.Start(t.Context(), "pve1", 201)
		if !errors.Is(err, proxmox.MaybeHappened) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("change: %v", err)
		}
		// Longer than the 30 s after which Proxmox's own proxy answers 596.
		if took := time.Since(began); took <= 30*time.Second || took > time.Minute {
			t.Errorf("change: gave up after %v", took)
		}
		began = time.Now()
		if _, err = c.Version(t.Context()); !errors.Is(err, proxmox.Unavailable) || time.Since(began) > 30*time.Second {
			t.Errorf("read: %v after %v", err, time.Since(began))
		}
		both := newClient(t, func(o *proxmox.Options) {
			o.Transport = transport(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "pve1:8006" {
					return silent(r)
				}
				return inProcess(r, ok)
			})
		}, "https://pve1:8006", "https://pve2:8006")
		if _, err := both.Version(t.Context()); err != nil {
			t.Errorf("read past a silent endpoint: %v", err)
		}
	})
}

func TestCallerEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent int
		c := newClient(t, func(o *proxmox.Options) {
			o.Transport = transport(func(r *http.Request) (*http.Response, error) {
				sent++
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		}, "https://pve1:8006", "https://pve2:8006")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.Resources(ctx)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, proxmox.Unavailable) || sent != 1 {
			t.Errorf("%v after %d requests, want Canceled after one", err, sent)
		}
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newWire(t, false, always(reply("200 OK", ok)))
	for _, status := range []string{"301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"} {
		w := newWire(t, false, always([]byte("HTTP/1.1 "+status+"\r\nLocation: "+other.URL+"/api2/json/version\r\nContent-Length: 0\r\n\r\n")))
		c := newClient(t, nil, w.URL)
		if _, err := c.Version(t.Context()); !errors.Is(err, proxmox.Unavailable) || !strings.Contains(err.Error(), other.URL) {
			t.Errorf("%s: %v", status, err)
		}
		if _, err := c.Start(t.Context(), "pve1", 201); !errors.Is(err, proxmox.Unavailable) {
			t.Errorf("%s: %v", status, err)
		}
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("the token travelled %d times", n)
	}
}

func TestOnlyAClearAnswerMakesAVMIDFree(t *testing.T) {
	free := newWire(t, false, always(reply("200 OK", `{"data":"201"}`)))
	if got, err := newClient(t, nil, free.URL).VMIDFree(t.Context(), 201); err != nil || !got {
		t.Errorf("free: %v, %v", got, err)
	}
	taken := newWire(t, false, always(reply("400 Parameter verification failed.",
		`{"data":null,"errors":{"vmid":"VM 201 already exists"},"message":"Parameter verification failed.\n"}`)))
	if got, err := newClient(t, nil, taken.URL).VMIDFree(t.Context(), 201); err != nil || got {
		t.Errorf("taken: %v, %v", got, err)
	}
	for _, answer := range [][]byte{
		bare("595 Connection refused"), bare("401 No ticket"), nil, reply("200 OK", "<html>"), reply("200 OK", `{"data":null}`),
		reply("200 OK", `{"data":"202"}`), reply("400 Parameter verification failed.", `{"errors":{"vmid":"value does not look like a valid VM ID"}}`),
	} {
		w := newWire(t, false, always(answer))
		if got, err := newClient(t, nil, w.URL).VMIDFree(t.Context(), 201); err == nil || got {
			t.Errorf("%q: free %v, %v", answer, got, err)
		}
	}
}

// TestEndpointsThatFailedWaitTheirTime: of the others, the one that failed last and most comes last, until its time
// is over.
func TestEndpointsThatFailedWaitTheirTime(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "pve3 pve2", time.Hour: "pve3 pve1"} {
		synctest.Test(t, func(t *testing.T) {
			var down string
			var asked []string
			c := newClient(t, func(o *proxmox.Options) {
				o.Transport = transport(func(r *http.Request) (*http.Response, error) {
					host := strings.TrimSuffix(r.URL.Host, ":8006")
					asked = append(asked, host)
					if strings.Contains(down, host) {
						return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
					}
					return inProcess(r, ok)
				})
			}, "https://pve1:8006", "https://pve2:8006", "https://pve3:8006")
			read := func(fail, want string) {
				t.Helper()
				asked, down = nil, fail
				if _, err := c.Version(t.Context()); err != nil || strings.Join(asked, " ") != want {
					t.Errorf("asked %v (%v), want %s", asked, err, want)
				}
			}
			read("pve1 pve2", "pve1 pve2 pve3")
			time.Sleep(3 * time.Second)
			read("pve3 pve1", "pve3 pve1 pve2") // pve1 for the second time
			read("pve2", "pve2 pve3")
			time.Sleep(wait)
			read("pve3", want)
		})
	}
}
