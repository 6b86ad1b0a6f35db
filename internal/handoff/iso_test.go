package handoff_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kdomanski/iso9660"

	"mayfly/internal/cloudinit"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/runners"
)

// storage is a storage that one call after the other may fail at.
type storage struct {
	files    map[string]file
	mayNot   bool // delete
	failures []error
	calls    []string
}

type file struct {
	data []byte
	at   time.Time
}

func (s *storage) fails(call string) error {
	s.calls = append(s.calls, call)
	if len(s.failures) == 0 {
		return nil
	}
	err := s.failures[0]
	s.failures = s.failures[1:]
	return err
}

func (s *storage) Upload(_ context.Context, node string, u proxmox.Upload) (proxmox.UPID, error) {
	if err := s.fails("upload"); err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.NewSectionReader(u.Body, 0, u.Size))
	if err != nil {
		return "", err
	}
	s.files[u.Name] = file{data, time.Now()}
	return proxmox.UPID(node + u.Storage + u.Content), nil
}

func (s *storage) DeleteVolume(_ context.Context, _, id string) (proxmox.UPID, error) {
	if err := s.fails("delete"); err != nil {
		return "", err
	}
	if s.mayNot {
		return "", &proxmox.Error{Kind: proxmox.Permission, Op: "delete", Message: "Permission check failed"}
	}
	delete(s.files, strings.TrimPrefix(id, "local:iso/"))
	return "deleted", nil
}

func (s *storage) Volumes(context.Context, string, string, string) ([]proxmox.Volume, error) {
	var list []proxmox.Volume
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		list = append(list, proxmox.Volume{ID: "local:iso/" + name, Content: "iso", Size: runner.Bytes(len(s.files[name].data)), Created: s.files[name].at})
	}
	if err := s.fails("list"); err != nil {
		return nil, err
	}
	return list, nil
}

func (s *storage) WaitTask(context.Context, proxmox.UPID) error { return s.fails("wait") }

// full lists the files that hold something.
func (s *storage) full() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if !bytes.Equal(s.files[name].data, cloudinit.EmptyISO()) {
			names = append(names, name)
		}
	}
	return names
}

func newISO(t *testing.T) (*handoff.ISO, *storage) {
	t.Helper()
	return isoWith(t, slog.New(slog.DiscardHandler))
}

func isoWith(t *testing.T, log *slog.Logger) (*handoff.ISO, *storage) {
	t.Helper()
	template, err := cloudinit.Parse("shipped", runners.UserDataTemplate)
	if err != nil {
		t.Fatal(err)
	}
	st := &storage{files: map[string]file{}}
	s, err := handoff.NewISO(st, handoff.ISOOptions{Storage: "local", Node: "pve1", Installation: "lab", Template: template, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return s, st
}

func isoGuest(config map[string]string) handoff.SeedGuest {
	return handoff.SeedGuest{
		VM: vm, User: "runner", RepoURL: "https://github.com/NREL/EnergyPlus", Labels: []string{"self-hosted"}, Config: config,
	}
}

const isoJIT = "eyIucnVubmVyIjoiZXlKQloyVnVkRWxrSWpveGZRPT0ifQ=="

func isoIdentity(name string) handoff.SeedIdentity {
	return handoff.SeedIdentity{Identity: runner.Identity{Name: name, JITConfig: runner.NewSecret(isoJIT)}}
}

func TestTheMediumHoldsTheUserDataUntilItIsCleared(t *testing.T) {
	s, st := newISO(t)
	for range 2 { // a lost reply
		if _, err := s.Prepare(t.Context(), isoGuest(nil), isoIdentity("ep-0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	if got := st.full(); !slices.Equal(got, []string{"mayfly-lab_ep-0123456789.iso"}) {
		t.Fatalf("files %v", got)
	}
	im, err := iso9660.OpenImage(bytes.NewReader(st.files["mayfly-lab_ep-0123456789.iso"].data))
	must(t, err)
	root, err := im.RootDir()
	must(t, err)
	children, err := root.GetChildren()
	must(t, err)
	files := map[string]string{}
	for _, c := range children {
		text, err := io.ReadAll(c.Reader())
		must(t, err)
		files[c.Name()] = string(text)
	}
	if files["meta-data"] != "instance-id: ep-0123456789\n" || !strings.Contains(files["user-data"], isoJIT) || len(files) != 2 {
		t.Errorf("files %v", slices.Sorted(maps.Keys(files)))
	}
	for range 2 {
		if err := s.Clear(t.Context(), "ep-0123456789"); err != nil || len(st.files) != 0 {
			t.Errorf("%v, left %d", err, len(st.files))
		}
	}
	if err := s.Clear(t.Context(), "../x"); err == nil {
		t.Error("cleared what is no runner's")
	}
}

func TestCallsThatMayPassAreMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := &proxmox.Error{Kind: proxmox.MaybeHappened, Op: "x", Message: "lost"}
		s, st := newISO(t)
		st.failures = []error{lost, &proxmox.Error{Kind: proxmox.Unavailable, Op: "x"}, nil, lost, nil, nil}
		_, err := s.Prepare(t.Context(), isoGuest(nil), isoIdentity("ep-0123456789"))
		if want := []string{"upload", "upload", "upload", "wait", "upload", "wait"}; err != nil || !slices.Equal(st.calls, want) {
			t.Errorf("%v after %v, want %v", err, st.calls, want)
		}
		st.calls, st.failures = nil, []error{lost, nil, lost}
		err = s.Clear(t.Context(), "ep-0123456789")
		if want := []string{"delete", "delete", "wait", "delete", "wait"}; err != nil || !slices.Equal(st.calls, want) {
			t.Errorf("%v after %v, want %v", err, st.calls, want)
		}
		// What can't pass is told at once, and what passes too late when the time is up.
		st.calls, st.failures = nil, []error{&proxmox.Error{Kind: proxmox.TaskFailed, Op: "x", Message: "No space left on device"}}
		if _, err := s.Prepare(t.Context(), isoGuest(nil), isoIdentity("ep-0123456789")); !errors.Is(err, proxmox.TaskFailed) || len(st.calls) != 1 {
			t.Errorf("%v after %v", err, st.calls)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		st.failures = slices.Repeat([]error{lost}, 10)
		if _, err := s.Prepare(ctx, isoGuest(nil), isoIdentity("ep-0123456789")); !errors.Is(err, proxmox.MaybeHappened) || strings.Contains(err.Error(), isoJIT) {
			t.Error(err)
		}
	})
}

func TestWhereNothingCanBeDeletedEmptyImagesAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, st := isoWith(t, slog.New(slog.NewTextHandler(&log, nil)))
		st.mayNot = true
		for i := range 20 {
			name := fmt.Sprintf("ep-%010d", i)
			config := map[string]string{}
			set, err := s.Prepare(t.Context(), isoGuest(config), isoIdentity(name))
			must(t, err)
			maps.Copy(config, set)
			if len(st.full()) != 1 {
				t.Fatalf("full: %v", st.full())
			}
			if s.Eject(config, name) == nil {
				t.Fatalf("%v isn't ejected", config)
			}
			must(t, s.Clear(t.Context(), name))
			time.Sleep(time.Minute)
		}
		if full := st.full(); len(full) != 0 || len(st.files) > 3 {
			t.Errorf("full %v, %d files in all", full, len(st.files))
		}
		if n := strings.Count(log.String(), "Datastore.Allocate on /storage/local"); n != 1 {
			t.Errorf("told %d times:\n%s", n, log.String())
		}
		// A privilege that is granted later cleans up.
		st.mayNot = false
		_, err := s.Sweep(t.Context(), func(string) bool { return false }, time.Hour)
		must(t, err)
		if len(st.files) != 0 {
			t.Errorf("left: %d", len(st.files))
		}
	})
}

func TestSweepRemovesMediaThatACrashLeft(t *testing.T) {
	for _, mayNot := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, st := newISO(t)
			st.mayNot = mayNot
			old := file{bytes.Repeat([]byte("x"), 90_000), time.Now()}
			for _, name := range []string{
				"mayfly-lab_ep-0000000001.iso", "mayfly-lab_ep-0000000002.iso", "mayfly-lab2_ep-0000000001.iso", "mayfly-lab_x.iso", "ubuntu.iso",
			} {
				st.files[name] = old
			}
			st.files["mayfly-lab_ep-0000000004.iso"] = file{cloudinit.EmptyISO(), time.Now()}
			time.Sleep(time.Hour)
			st.files["mayfly-lab_ep-0000000003.iso"] = file{old.data, time.Now()} // young
			removed, err := s.Sweep(t.Context(), func(name string) bool { return name == "ep-0000000002" }, 10*time.Minute)
			if err != nil || !slices.Equal(removed, []string{"mayfly-lab_ep-0000000001.iso"}) {
				t.Errorf("removed %v, %v", removed, err)
			}
			want := []string{"mayfly-lab2_ep-0000000001.iso", "mayfly-lab_ep-0000000002.iso", "mayfly-lab_ep-0000000003.iso", "mayfly-lab_x.iso", "ubuntu.iso"}
			if got := st.full(); !slices.Equal(got, want) {
				t.Errorf("left %v, want %v", got, want)
			}
			if _, empty := st.files["mayfly-lab_ep-0000000004.iso"]; empty != mayNot {
				t.Errorf("the empty one is there: %t", empty)
			}
		})
	}
}

// TestSweepLeavesAReusedFileToItsNewRunner: the file has an older runner's name.
func TestSweepLeavesAReusedFileToItsNewRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := newISO(t)
		st.mayNot = true
		const older, newer = "ep-0000000001", "ep-0000000002"
		_, err := s.Prepare(t.Context(), isoGuest(nil), isoIdentity(older))
		must(t, err)
		must(t, s.Clear(t.Context(), older))
		time.Sleep(5 * time.Minute)
		_, err = s.Prepare(t.Context(), isoGuest(nil), isoIdentity(newer))
		must(t, err)
		time.Sleep(time.Hour)
		removed, err := s.Sweep(t.Context(), func(name string) bool { return name == newer }, time.Minute)
		if err != nil || len(removed) != 0 || !slices.Equal(st.full(), []string{"mayfly-lab_" + older + ".iso"}) {
			t.Errorf("removed %v, %v; full %v", removed, err, st.full())
		}
		removed, err = s.Sweep(t.Context(), func(string) bool { return false }, time.Minute)
		if err != nil || len(removed) != 1 || len(st.full()) != 0 {
			t.Errorf("removed %v, %v; full %v", removed, err, st.full())
		}
	})
}

func TestAfterARestartOnlyWhatIsThereIsCleared(t *testing.T) {
	const name = "ep-0000000001"
	for _, mayNot := range []bool{false, true} {
		s, st := newISO(t)
		st.mayNot = mayNot
		if err := s.Clear(t.Context(), name); err != nil || !slices.Equal(st.calls, []string{"list"}) || len(st.files) != 0 {
			t.Errorf("nothing there: %v after %v", err, st.calls)
		}
		st.files["mayfly-lab_"+name+".iso"] = file{data: []byte("identity")}
		if err := s.Clear(t.Context(), name); err != nil || len(st.full()) != 0 {
			t.Errorf("%v, left: %v", err, st.full())
		}
	}
	for _, kind := range []proxmox.Kind{proxmox.Permission, proxmox.NotFound} { // it never could upload
		s, st := newISO(t)
		st.failures = []error{&proxmox.Error{Kind: kind, Op: "list"}, &proxmox.Error{Kind: kind, Op: "list"}}
		clearErr := s.Clear(t.Context(), name)
		_, sweepErr := s.Sweep(t.Context(), func(string) bool { return false }, time.Hour)
		if clearErr != nil || sweepErr != nil {
			t.Errorf("%v: %v, %v", kind, clearErr, sweepErr)
		}
	}
	s, st := newISO(t)
	st.failures = []error{&proxmox.Error{Kind: proxmox.Unavailable, Op: "list"}}
	if err := s.Clear(t.Context(), name); !errors.Is(err, proxmox.Unavailable) {
		t.Error(err)
	}
}

func TestISOOptionsAreChecked(t *testing.T) {
	template, err := cloudinit.Parse("shipped", runners.UserDataTemplate)
	must(t, err)
	for want, o := range map[string]handoff.ISOOptions{
		"want a storage's name": {Node: "pve1", Installation: "lab", Template: template},
		"no node":               {Storage: "local", Installation: "lab", Template: template},
		"installation":          {Storage: "local", Node: "pve1", Installation: "L B", Template: template},
		"no user-data template": {Storage: "local", Node: "pve1", Installation: "lab"},
	} {
		if _, err := handoff.NewISO(&storage{}, o); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "iso hand-off: ") {
			t.Errorf("%v, want …%s…", err, want)
		}
	}
}
