package fleet_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// followsImage makes the bench's pool follow an image.
func followsImage(s *setup) { s.spec.Pools[0].Template, s.spec.Pools[0].Image = "", "debian-12" }

// someImage is an image that could be what the bench's pool follows.
func someImage(vmid int, version string) runner.Image {
	return runner.Image{
		Installation: "bench", Name: "debian-12", Version: version, RunnerVersion: "2.335.1",
		RunnerReleased: time.Now().Add(-24 * time.Hour), Built: time.Now(), Contract: 1, VMID: vmid,
	}
}

// post sends a change that the client has no call for, and waits for its task.
func (a admin) post(path string, form url.Values) {
	a.b.t.Helper()
	req, err := http.NewRequestWithContext(a.b.t.Context(), http.MethodPost, "https://pve1:8006/api2/json"+path, strings.NewReader(form.Encode()))
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
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		a.b.t.Errorf("the administrator: %s: %s", path, res.Status)
	}
}

// build makes a template as an image build does.
func (a admin) build(i runner.Image, node string, tags ...string) {
	a.b.t.Helper()
	a.template(proxmox.CloneOptions{NewID: i.VMID, Name: i.TemplateName(), Description: i.Description(), Target: node})
	a.set(i.VMID, "tags", strings.Join(append([]string{runner.TagImage}, tags...), ";"))
}

// template makes one more template of the bench's.
func (a admin) template(o proxmox.CloneOptions) {
	a.b.t.Helper()
	o.Pool, o.Full = "ci-templates", true
	a.done(a.Clone(a.b.t.Context(), "pve1", 9000, o))
	a.post("/nodes/pve1/qemu/"+strconv.Itoa(o.NewID)+"/template", nil)
	a.b.until(time.Minute, "it is a template", func() bool { return a.b.vm(o.NewID).Template })
}

// clonedFrom counts our VMs by the template that their marker names.
func (b *bench) clonedFrom() map[int]int {
	b.t.Helper()
	n := map[int]int{}
	for _, v := range b.pve.VMs() {
		if v.Decoy == "" && !v.Template {
			m, err := runner.ParseMarker(v.Config["description"])
			if err != nil {
				b.t.Errorf("VM %d: %v", v.VMID, err)
			}
			n[m.Template]++
		}
	}
	return n
}

func TestPoolFollowsThePromotedVersionOfItsImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, followsImage)
		a := b.admin()

		b.queue(1, 20*time.Minute)
		b.until(time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitNoTemplate })
		b.says(time.Minute, `image "debian-12" has no promoted template on node pve1 as far as this token sees; run: mayfly image build debian-12`)

		a.build(someImage(9100, "20261124-1200"), "")
		b.says(time.Minute, `has no promoted template on node pve1, but version 20261124-1200 is built; run: mayfly image promote debian-12`)

		a.set(9100, "tags", "mayfly-image;mayfly-promoted")
		b.until(5*time.Minute, "it runs", func() bool { return count(b, "in_progress") == 1 })
		if s := b.controller.Status(); !s.Ready {
			t.Errorf("not ready: %q", s.Reasons)
		}
		first := b.busy()

		// Promoted meanwhile: the runner stays, the next one comes from the new version.
		a.build(someImage(9101, "20261124-1300"), "", runner.TagPromoted)
		time.Sleep(20 * time.Second) // the next look sees it
		b.untouched(first.VMID, func() {
			b.queue(2, time.Minute)
			b.until(10*time.Minute, "one job is left", func() bool { return count(b, "completed") == 2 })
			a.set(9100, "tags", "mayfly-image")
			b.queue(1, time.Minute)
			b.until(10*time.Minute, "one job is left", func() bool { return count(b, "completed") == 3 })
		})
		b.served(time.Hour)
		b.succeeded()
		if n := b.clonedFrom(); n[9100] != 1 || n[9101] != 3 || len(n) != 2 {
			t.Errorf("runners by template: %v", n)
		}
		b.logged("version=20261124-1300")
	})
}

func TestVanishedVersionFallsBackToTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, followsImage)
		a := b.admin()
		a.build(someImage(9100, "20261124-1200"), "", runner.TagPromoted)
		a.build(someImage(9101, "20261124-1300"), "", runner.TagPromoted)
		b.queue(1, time.Minute)
		b.served(time.Hour)
		a.done(a.Delete(t.Context(), "pve1", 9101))
		b.queue(2, time.Minute)
		b.served(time.Hour)
		if n := b.clonedFrom(); n[9100] != 2 || n[9101] != 1 {
			t.Errorf("runners by template: %v", n)
		}
		b.succeeded()
	})
}

// TestRunnersOutliveTheirTemplate: LVM-thin, as here, lets a template go that linked clones hang on, and they live on.
func TestRunnersOutliveTheirTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, followsImage)
		a := b.admin()
		a.build(someImage(9100, "20261124-1200"), "", runner.TagPromoted)
		b.queue(1, 20*time.Minute)
		b.until(5*time.Minute, "it runs", func() bool { return count(b, "in_progress") == 1 })
		a.build(someImage(9101, "20261124-1300"), "", runner.TagPromoted)
		a.set(9100, "tags", "mayfly-image")
		a.done(a.Delete(t.Context(), "pve1", 9100))
		b.served(time.Hour)
		b.succeeded()
		b.queue(1, time.Minute)
		b.served(time.Hour)
	})
}

func TestPromotedTemplateThatIsNoVersionIsRefusedInWords(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*runner.Image)
		words  string
	}{
		{"another installation's", func(i *runner.Image) { i.Installation = "other" }, `VM 9100 is of installation "other", not "bench"`},
		{"a copy", func(i *runner.Image) { i.VMID = 9000 }, "VM 9100 is tagged mayfly-promoted, but its notes are a copy of VM 9000's"},
		{"of the future", func(i *runner.Image) { i.Contract = 99 }, "was built by a newer Mayfly (run-once contract 99, this one speaks up to"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, followsImage)
				a := b.admin()
				i := someImage(9100, "20261124-1200")
				a.build(i, "")
				tc.change(&i)
				a.set(9100, "description", i.Description())
				a.set(9100, "tags", "mayfly-image;mayfly-promoted")
				b.queue(1, time.Minute)
				b.says(5*time.Minute, tc.words)
				time.Sleep(30 * time.Second)
				if code := b.reason(); code != fleet.WaitNoTemplate {
					t.Errorf("the job waits for %s", code)
				}
				if n := len(b.runners()); n != 0 {
					t.Errorf("%d VMs were made", n)
				}
			})
		})
	}
}

func TestPromotedOnAnotherNodeOnlyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			followsImage(s)
			s.pve.Nodes = []string{"pve1", "pve2"}
		})
		a := b.admin()
		a.build(someImage(9100, "20261124-1200"), "", runner.TagPromoted)
		b.halt()
		b.spec.Node = "pve2"
		b.start("")
		b.says(5*time.Minute, "has no promoted template on node pve2, only on pve1 as far as this token sees; run: mayfly image build debian-12")
	})
}

// says demands that the status isn't ready, for a reason that says the words.
func (b *bench) says(limit time.Duration, words string) {
	b.t.Helper()
	b.until(limit, "not ready because of "+words, func() bool {
		s := b.controller.Status()
		return !s.Ready && strings.Contains(strings.Join(s.Reasons, "\n"), words)
	})
}
