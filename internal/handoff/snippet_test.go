package handoff_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	goyaml "github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"mayfly/internal/cloudinit"
	"mayfly/internal/handoff"
	"mayfly/internal/runner"
	"mayfly/runners"
)

const (
	snippetRunner = "ep-0123456789"
	snippetFile   = "mayfly-lab_ep-0123456789.yaml"
	snippetSecret = "U2VjUmV0U2VjUmV0"
)

// newSnippet returns a hand-off of installation lab that writes into a new folder.
func newSnippet(t *testing.T) (*handoff.Snippet, string) {
	t.Helper()
	dir := t.TempDir()
	return snippetIn(t, dir, "lab"), dir
}

func snippetIn(t *testing.T, dir, installation string) *handoff.Snippet {
	t.Helper()
	tmpl, err := cloudinit.Parse("shipped", runners.UserDataTemplate)
	if err != nil {
		t.Fatal(err)
	}
	s, err := handoff.NewSnippet(handoff.SnippetOptions{Dir: dir, Storage: "local", Installation: installation, Template: tmpl})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func snippetGuest() handoff.SeedGuest {
	return handoff.SeedGuest{
		VM: handoff.VM{Node: "pve1", VMID: 205}, User: "runner", RepoURL: "https://github.com/NREL/EnergyPlus", Labels: []string{"self-hosted", "linux"},
		Config: map[string]string{"ide2": "local-lvm:vm-205-cloudinit,media=cdrom", "scsi0": "local-lvm:vm-205-disk-0,size=20G"},
	}
}

func snippetIdentity() handoff.SeedIdentity {
	return handoff.SeedIdentity{Identity: runner.Identity{RegistrationID: 7, Name: snippetRunner, JITConfig: runner.NewSecret(snippetSecret)}}
}

// names lists what is in a folder, hidden files too.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestSnippetIsWrittenForItsOwnerAloneAndNamedInTheConfig(t *testing.T) {
	s, dir := newSnippet(t)
	set, err := s.Prepare(t.Context(), snippetGuest(), snippetIdentity())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"cicustom": "user=local:snippets/" + snippetFile}, set); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{snippetFile}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, snippetFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	text, err := os.ReadFile(filepath.Join(dir, snippetFile))
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Hostname string
		Runcmd   [][]string
	}
	if err := goyaml.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	if data.Hostname != snippetRunner || !strings.Contains(string(text), snippetSecret) || data.Runcmd[0][6] != "self-hosted,linux" {
		t.Errorf("user-data:\n%s", text)
	}
}

func TestSnippetTakesARegistrationTokenToo(t *testing.T) {
	s, dir := newSnippet(t)
	id := handoff.SeedIdentity{Identity: runner.Identity{Name: snippetRunner}, RegistrationToken: runner.NewSecret("AABBCC")}
	if _, err := s.Prepare(t.Context(), snippetGuest(), id); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, snippetFile))
	if err != nil || !strings.Contains(string(text), `content: "AABBCC"`) {
		t.Errorf("%v:\n%s", err, text)
	}
	if s.Needs() != cloudinit.NeedsEither {
		t.Errorf("needs %s", s.Needs())
	}
}

func TestOtherPartsOfCicustomAreKept(t *testing.T) {
	s, _ := newSnippet(t)
	for before, want := range map[string]string{
		"user=local:snippets/old.yaml":                                    "user=local:snippets/" + snippetFile,
		"vendor=local:snippets/v.yaml":                                    "user=local:snippets/" + snippetFile + ",vendor=local:snippets/v.yaml",
		"network=nfs:snippets/n.yaml,user=x:snippets/y,meta=x:snippets/m": "user=local:snippets/" + snippetFile + ",network=nfs:snippets/n.yaml,meta=x:snippets/m",
	} {
		g := snippetGuest()
		g.Config["cicustom"] = before
		set, err := s.Prepare(t.Context(), g, snippetIdentity())
		if err != nil || set["cicustom"] != want {
			t.Errorf("%s became %s, want %s; %v", before, set["cicustom"], want, err)
		}
	}
}

func TestPreparingAgainReplacesAndClearingTwiceIsFine(t *testing.T) {
	s, dir := newSnippet(t)
	again := snippetIdentity()
	again.JITConfig = runner.NewSecret("c2Vjb25k")
	for _, id := range []handoff.SeedIdentity{snippetIdentity(), again} {
		if _, err := s.Prepare(t.Context(), snippetGuest(), id); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, snippetFile))
	if err != nil || strings.Contains(string(text), snippetSecret) || !strings.Contains(string(text), "c2Vjb25k") {
		t.Errorf("%v:\n%s", err, text)
	}
	for range 2 {
		if err := s.Clear(t.Context(), snippetRunner); err != nil {
			t.Error(err)
		}
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestClearTouchesNothingButTheRunnersFile(t *testing.T) {
	s, dir := newSnippet(t)
	others := []string{"mayfly-lab_ep-0123456780.yaml", "mayfly-other_ep-0123456789.yaml", "user.yaml"}
	for _, name := range others {
		put(t, dir, name, 0)
	}
	for _, name := range []string{"", ".", "../x", "user", "*", snippetFile, "ep-0123456789/../../x"} {
		if err := s.Clear(t.Context(), name); err == nil {
			t.Errorf("%q is taken for a runner", name)
		}
	}
	if err := s.Clear(t.Context(), snippetRunner); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(others, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestASnippetThatCantBeWrittenLeavesNothingAndShowsNoSecret(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		guest  func(g *handoff.SeedGuest)
		id     func(id *handoff.SeedIdentity)
		damage func(t *testing.T, dir string)
		want   string
	}{
		"cancelled":          {ctx: cancelled, want: context.Canceled.Error()},
		"no drive":           {guest: func(g *handoff.SeedGuest) { delete(g.Config, "ide2") }, want: "qm set VMID --ide2 STORAGE:cloudinit"},
		"bad user":           {guest: func(g *handoff.SeedGuest) { g.User = "a b" }, want: `runner user "a b"`},
		"bad name":           {id: func(id *handoff.SeedIdentity) { id.Name = "../../etc/x" }, want: `runner name "../../etc/x"`},
		"odd secret":         {id: func(id *handoff.SeedIdentity) { id.JITConfig = runner.NewSecret(snippetSecret + `"`) }, want: "JIT config: holds characters"},
		"two identities":     {id: func(id *handoff.SeedIdentity) { id.RegistrationToken = runner.NewSecret(snippetSecret) }, want: "want one identity"},
		"no identity":        {id: func(id *handoff.SeedIdentity) { id.JITConfig = runner.Secret{} }, want: "want a JIT config or registration token"},
		"folder in the way":  {damage: func(t *testing.T, dir string) { mkdir(t, filepath.Join(dir, snippetFile)) }, want: snippetFile},
		"folder is gone":     {damage: func(t *testing.T, dir string) { must(t, os.Remove(dir)) }, want: "mount the snippets folder there"},
		"folder is now file": {damage: func(t *testing.T, dir string) { must(t, os.Remove(dir)); must(t, os.WriteFile(dir, nil, 0o600)) }, want: "SNIPPETS_DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			mkdir(t, dir)
			s := snippetIn(t, dir, "lab")
			guest, id, ctx := snippetGuest(), snippetIdentity(), t.Context()
			if c.guest != nil {
				c.guest(&guest)
			}
			if c.id != nil {
				c.id(&id)
			}
			if c.damage != nil {
				c.damage(t, dir)
			}
			if c.ctx != nil {
				ctx = c.ctx
			}
			set, err := s.Prepare(ctx, guest, id)
			if err == nil || set != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "write user-data of ") {
				t.Errorf("%v, %v; want …%s…", set, err, c.want)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, snippetSecret) {
				t.Errorf("the error shows the secret: %s", text)
			}
			must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() && path != dir {
					t.Errorf("left: %s", path)
				}
				return nil
			}))
		})
	}
}

func TestSeedIdentityIsASecretHoweverItIsPrinted(t *testing.T) {
	id := snippetIdentity()
	id.RegistrationToken = runner.NewSecret(snippetSecret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(verb, id); strings.Contains(text, snippetSecret) || strings.Contains(text, fmt.Sprintf("%x", snippetSecret)) {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

func TestSnippetOptionsThatCantWorkAreRefused(t *testing.T) {
	tmpl, err := cloudinit.Parse("shipped", runners.UserDataTemplate)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    handoff.SnippetOptions
		want string
	}{
		{handoff.SnippetOptions{Dir: "/x", Storage: "a:b", Installation: "lab", Template: tmpl}, `storage "a:b"`},
		{handoff.SnippetOptions{Dir: "/x", Installation: "lab", Template: tmpl}, `storage ""`},
		{handoff.SnippetOptions{Dir: "/x", Storage: "local", Installation: "a/b", Template: tmpl}, `installation "a/b"`},
		{handoff.SnippetOptions{Dir: "/x", Storage: "local", Installation: "lab"}, "no user-data template"},
	} {
		if _, err := handoff.NewSnippet(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	_, err = handoff.NewSnippet(handoff.SnippetOptions{Storage: "local", Installation: "lab", Template: tmpl})
	var upload *handoff.SnippetUploadError
	if !errors.As(err, &upload) {
		t.Fatalf("no folder: %v", err)
	}
	for _, way := range []string{"no Proxmox VE version", "SNIPPETS_DIR", "handoff: agent", "handoff: iso", "storage local"} {
		if !strings.Contains(err.Error(), way) {
			t.Errorf("the error doesn't name %q: %v", way, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	must(t, os.Mkdir(path, 0o755))
}
