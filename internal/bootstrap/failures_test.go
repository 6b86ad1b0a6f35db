package bootstrap_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"mayfly/internal/bootstrap"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// failure is something that goes wrong, and the line that it ends in.
type failure struct {
	name    string
	options pve.Options
	world   func(*world)
	spec    func(*bootstrap.Spec)
	want    []string // parts of the line, among them the cure
}

// failures are what a bootstrap may meet.
func failures() []failure {
	onUpload := func(kind string, count int) func(*world) {
		return func(w *world) {
			if _, err := w.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Method: http.MethodPost, Path: "**/upload", Count: count}, Kind: kind}); err != nil {
				w.t.Error(err)
			}
		}
	}
	inTask := func(kind, at, how string) func(*world) {
		return func(w *world) {
			if _, err := w.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Task: kind, At: at}, Kind: how, Reason: "cp: error writing: No space left on device"}); err != nil {
				w.t.Error(err)
			}
		}
	}
	return []failure{
		{
			name: "download blocked", world: func(w *world) { delete(w.web, templateURL) },
			want: []string{"download container template " + templateURL, "no route to host", "set CT_TEMPLATE to it"},
		},
		{
			name: "another file than the index says", world: func(w *world) { w.web[templateURL] = []byte("not a template") },
			want: []string{"its SHA-512 is", "don't use it"},
		},
		{
			name: "no template in the index", world: func(w *world) { w.noIndex() },
			want: []string{"no Debian 12 template", "set CT_TEMPLATE"},
		},
		{
			name: "template file missing", spec: func(s *bootstrap.Spec) { s.TemplateFile = "/nowhere/debian.tar.zst" },
			want: []string{"/nowhere/debian.tar.zst: no such file", "set CT_TEMPLATE"},
		},
		{
			name: "program for another system", spec: func(s *bootstrap.Spec) { s.Program = "/etc/hostname" },
			want: []string{"/etc/hostname is no program for Linux", "linux/amd64"},
		},
		{name: "upload reset", world: onUpload("reset_before", -1), want: []string{"upload mayfly-100-", "no reply", "/var/tmp"}},
		{name: "upload broken half-way", world: func(w *world) { w.wrap = halfUploads }, want: []string{"upload mayfly-100-", "broken pipe", "/var/tmp"}},
		{
			name: "upload folder full", options: pve.Options{UploadRoom: 100},
			want: []string{"write to temporary file failed - No space left on device", "/var/tmp", "free space there"},
		},
		{name: "storage of templates full meanwhile", world: inTask("imgcopy", "start", "fail"), want: []string{"No space left on device", "free space there"}},
		{
			name: "storage of templates full", options: pve.Options{Storages: []pve.Storage{{ID: "small", Type: "dir", Content: []string{"vztmpl"}, Total: 1 * runner.KiB}}},
			world: func(w *world) { w.token = []string{w.pve.Info().AdminTokenID, w.pve.Info().AdminTokenSecret} },
			spec:  func(s *bootstrap.Spec) { s.TemplateStorage = "small" }, want: []string{"storage small", "free", "set CT_TEMPLATE_STORAGE"},
		},
		{
			name: "VMID taken", spec: func(s *bootstrap.Spec) { s.Container.VMID = 9000 },
			want: []string{"9000 is taken, and not by this installation's dispatcher", "set CT_ID"},
		},
		{
			name: "storage without rootdir", spec: func(s *bootstrap.Spec) { s.Container.Storage = "local" },
			want: []string{"storage local takes no disks of containers", "set CT_STORAGE to one that does: local-lvm", "pvesm set local --content"},
		},
		{
			name: "storage without vztmpl", spec: func(s *bootstrap.Spec) { s.TemplateStorage = "local-lvm" },
			want: []string{"storage local-lvm takes no container templates", "set CT_TEMPLATE_STORAGE to one that does: local", "pvesm set local-lvm --content"},
		},
		{
			name: "no such storage", spec: func(s *bootstrap.Spec) { s.Container.Storage = "nosuch" },
			want: []string{"sees no storage nosuch", "set CT_STORAGE to one that does: local-lvm"},
		},
		{
			name: "bridge that the token may not use", spec: func(s *bootstrap.Spec) { s.Container.Bridge = "vmbr7" },
			want: []string{"no bridge vmbr7", "set CT_BRIDGE to one of its bridges: vmbr0", "SDN.Use on /sdn/zones/localnetwork/vmbr7"},
		},
		{
			name: "bridge that isn't there", world: func(w *world) { w.token = []string{w.pve.Info().AdminTokenID, w.pve.Info().AdminTokenSecret} },
			spec: func(s *bootstrap.Spec) { s.Container.Bridge = "vmbr7" }, want: []string{"no bridge vmbr7", "set CT_BRIDGE to one of its bridges: vmbr0"},
		},
		{name: "creation fails", world: inTask("vzcreate", "locked", "fail"), want: []string{"No space left on device", "free space there"}},
		{name: "start fails", world: inTask("vzstart", "locked", "fail"), want: []string{"No space left on device"}},
		{name: "start killed", world: inTask("vzstart", "locked", "kill"), want: []string{"its worker was killed"}},
		{
			name: "GitHub can't be reached", world: func(w *world) {
				w.inside = func(ctx context.Context, w *world, c *pve.Container) {
					w.says(ctx, c.VMID, bootstrap.Word{Reason: "GitHub can't be reached: no route to host; let the container out to api.github.com"})
				}
			},
			want: []string{"wait for the dispatcher in container 100", "GitHub can't be reached: no route to host; let the container out"},
		},
		{
			name: "dispatcher silent", world: func(w *world) { w.inside = func(context.Context, *world, *pve.Container) {} },
			want: []string{"no word of it within 5m0s", "check that it reaches Proxmox VE's API from vmbr0"},
		},
	}
}

// noIndex makes the nodes' index of appliances empty.
func (w *world) noIndex() {
	w.wrap = func(to http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/aplinfo") {
				return web{r.URL.String(): []byte(`{"data":[]}`)}.RoundTrip(r)
			}
			return to.RoundTrip(r)
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// halfUploads cuts each upload off in the middle of its body.
func halfUploads(to http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(r.URL.Path, "/upload") {
			return to.RoundTrip(r)
		}
		half := r.Clone(r.Context())
		half.Body = &cutBody{rest: r.Body, left: r.ContentLength / 2}
		_, err := to.RoundTrip(half)
		return nil, err
	})
}

// TestEachFailureEndsInOneLineWithTheCureAndNothingLeftBehind bootstraps where nothing is, and again where a container serves.
func TestEachFailureEndsInOneLineWithTheCureAndNothingLeftBehind(t *testing.T) {
	for _, f := range failures() {
		t.Run(f.name, func(t *testing.T) {
			bubble(t, f.options, func(t *testing.T, w *world) {
				s := w.spec()
				w.fail(s, f)
				w.checkClean()
			})
		})
		t.Run(f.name+", upgrade", func(t *testing.T) {
			options := f.options
			if f.options.UploadRoom > 0 {
				t.Log("nothing can be uploaded before, either")
				return
			}
			bubble(t, options, func(t *testing.T, w *world) {
				s := w.spec()
				w.mustRun(s)
				first := w.pve.State().Containers[0]
				w.inside = nil
				s.Force = true
				g := f
				g.want = nil // the VMID is another
				w.upgradeFails(s, g)
				w.checkClean(100)
				now := w.pve.State().Containers[0]
				if now.Config["mp0"] == "" || now.Config["tags"] != bootstrap.TagReady || now.Config["net0"] != first.Config["net0"] || now.Config["onboot"] != "1" {
					t.Errorf("it was\n%v\nand is\n%v", first.Config, now.Config)
				}
			})
		})
	}
}

// fail bootstraps and expects the failure's line.
func (w *world) fail(s bootstrap.Spec, f failure) {
	w.t.Helper()
	if f.spec != nil {
		f.spec(&s)
	}
	if f.world != nil {
		f.world(w)
	}
	_, err := w.run(w.t.Context(), s, w.token...)
	if err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "left behind") {
		w.t.Fatalf("want one line, nothing left behind: %v", err)
	}
	for _, want := range f.want {
		if !strings.Contains(err.Error(), want) {
			w.t.Errorf("%v\nwant %q in it", err, want)
		}
	}
}

// upgradeFails is fail for a container that takes the place of another: only its dispatcher says what the failure has
// dispatchers say.
func (w *world) upgradeFails(s bootstrap.Spec, f failure) {
	w.t.Helper()
	if f.world != nil {
		f.world(w)
		f.world = nil
	}
	if inside := w.inside; inside != nil {
		w.inside = func(ctx context.Context, w *world, c *pve.Container) {
			if c.VMID != 100 {
				inside(ctx, w, c)
				return
			}
			w.says(ctx, c.VMID, bootstrap.Word{Ready: true})
		}
	}
	w.fail(s, f)
}

// TestEachPrivilegeThatIsMissingIsNamed takes each away that docs/bootstrap.md names.
func TestEachPrivilegeThatIsMissingIsNamed(t *testing.T) {
	all := map[string][]string{
		"/pool/ci": {
			"VM.Allocate", "VM.Audit", "VM.PowerMgmt", "VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options",
		},
		"/storage/local-lvm":            {"Datastore.AllocateSpace", "Datastore.Audit"},
		"/storage/local":                {"Datastore.AllocateTemplate", "Datastore.Audit", "Datastore.Allocate"},
		"/sdn/zones/localnetwork/vmbr0": {"SDN.Use"},
	}
	const id, secret = "small@pve!token", "11111111-1111-4111-8111-111111111111"
	without := func(path, privilege string) pve.Options {
		o := pve.Options{Tokens: []pve.Token{{ID: id, Secret: secret, Roles: map[string]string{}}}}
		for p, list := range all {
			role := pve.Role{Name: "Role" + strings.NewReplacer("/", "-").Replace(p)}
			for _, priv := range list {
				if p != path || priv != privilege {
					role.Privileges = append(role.Privileges, priv)
				}
			}
			o.Roles = append(o.Roles, role)
			o.Tokens[0].Roles[p] = role.Name
		}
		return o
	}
	t.Run("none is", func(t *testing.T) {
		bubble(t, without("", ""), func(t *testing.T, w *world) {
			if _, err := w.run(t.Context(), w.spec(), id, secret); err != nil {
				t.Fatal(err)
			}
			w.checkClean(100)
		})
	})
	for path, list := range all {
		for _, privilege := range list {
			if path == "/storage/local-lvm" && privilege == "Datastore.Audit" {
				continue // Datastore.AllocateSpace shows the storage, too
			}
			t.Run(path+" "+privilege, func(t *testing.T) {
				bubble(t, without(path, privilege), func(t *testing.T, w *world) {
					s := w.spec()
					s.TokenID = id
					w.token = []string{id, secret}
					w.fail(s, failure{want: []string{privilege, path}})
					w.checkClean()
				})
			})
		}
	}
}

// TestContainerThatTheTokenCantSeeIsSaidToBeLeft kills creation before the resource pool has the container.
func TestContainerThatTheTokenCantSeeIsSaidToBeLeft(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		if _, err := w.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Task: "vzcreate", At: "pool"}, Kind: "kill"}); err != nil {
			t.Fatal(err)
		}
		_, err := w.run(t.Context(), w.spec())
		if err == nil || !strings.Contains(err.Error(), "container 100 is left behind") || !strings.Contains(err.Error(), "on node pve1 run: pct destroy 100 --force") {
			t.Errorf("%v", err)
		}
		if got := w.mustRun(w.spec()); got.VMID != 101 {
			t.Errorf("%+v", got)
		}
	})
}

func TestUploadThatBreaksOffOnceIsSentAgain(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		if _, err := w.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Method: http.MethodPost, Path: "**/upload", Count: 2}, Kind: "reset_before"}); err != nil {
			t.Fatal(err)
		}
		w.mustRun(w.spec())
		w.checkClean(100)
	})
}

// cutBody is a body that breaks off.
type cutBody struct {
	rest interface {
		Read([]byte) (int, error)
		Close() error
	}
	left int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, syscall.EPIPE
	}
	n, err := b.rest.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *cutBody) Close() error { return b.rest.Close() }

// TestInterruptedBootstrapLeavesNothing ends it at each of its calls.
func TestInterruptedBootstrapLeavesNothing(t *testing.T) {
	for n := 1; ; n++ {
		over := false
		bubble(t, pve.Options{}, func(t *testing.T, w *world) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			calls := 0
			w.wrap = atCall(n, &calls, cancel)
			_, err := w.run(ctx, w.spec())
			switch over = calls < n; {
			case err == nil: // it was past the point
				w.checkClean(100)
			case !errors.Is(err, context.Canceled):
				t.Errorf("interrupted at call %d: %v", n, err)
			default:
				w.checkClean()
			}
		})
		if over || t.Failed() {
			if n < 20 {
				t.Errorf("only %d calls", n)
			}
			return
		}
	}
}

// atCall does something at the nth call.
func atCall(n int, calls *int, do func()) func(http.RoundTripper) http.RoundTripper {
	return func(to http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if *calls++; *calls == n {
				do()
			}
			return to.RoundTrip(r)
		})
	}
}

// TestBridgeThatGoesMeanwhileIsNamed starts a container whose bridge was there when it was looked for.
func TestBridgeThatGoesMeanwhileIsNamed(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		m := making(190)
		m.Container.Bridge = "vmbr7"
		err := bootstrap.Make(t.Context(), w.admin(), m)
		if err == nil || !strings.Contains(err.Error(), "bridge 'vmbr7' does not exist; set CT_BRIDGE") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
		w.checkClean()
	})
}
