package bootstrap_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/bootstrap"
	"mayfly/internal/runner"
)

var errCut = errors.New("the power was cut")

// inode is a file's content and mode, or a folder.
type inode struct {
	data string
	mode fs.FileMode
}

// names are what a disk holds, by path.
type names map[string]inode

// volatile is a disk whose power is cut after some steps. What was done to a folder's names and not synced is on the disk up to
// some step, for each folder on its own; a file that was being written holds a part.
type volatile struct {
	now, durable names
	pending      map[string][]func(names) // by folder
	steps        int                      // until the cut
}

func newVolatile(durable names, steps int) *volatile {
	return &volatile{now: maps.Clone(durable), durable: maps.Clone(durable), pending: map[string][]func(names){}, steps: steps}
}

func (v *volatile) step() error {
	if v.steps == 0 {
		return errCut
	}
	v.steps--
	return nil
}

func (v *volatile) do(dir string, op func(names)) {
	op(v.now)
	v.pending[dir] = append(v.pending[dir], op)
}

func (v *volatile) Read(p string) ([]byte, error) {
	n, ok := v.now[p]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(n.data), nil
}

func (v *volatile) Mkdir(p string, mode fs.FileMode) error {
	if err := v.step(); err != nil {
		return err
	}
	if _, ok := v.now[p]; !ok {
		v.do(path.Dir(p), func(n names) { n[p] = inode{mode: mode | fs.ModeDir} })
	}
	return nil
}

func (v *volatile) Create(p string, data []byte, mode fs.FileMode) error {
	if _, ok := v.now[p]; ok {
		return fs.ErrExist
	}
	if err := v.step(); err != nil {
		return err
	}
	at := len(v.pending[path.Dir(p)])
	v.do(path.Dir(p), func(n names) { n[p] = inode{string(data[:len(data)/2]), mode} })
	if err := v.step(); err != nil {
		return err
	}
	whole := func(n names) { n[p] = inode{string(data), mode} }
	whole(v.now)
	v.pending[path.Dir(p)][at] = whole
	return nil
}

func (v *volatile) Rename(from, to string) error {
	if err := v.step(); err != nil {
		return err
	}
	v.do(path.Dir(to), func(n names) {
		n[to] = n[from]
		delete(n, from)
	})
	return nil
}

func (v *volatile) Remove(p string) error {
	if err := v.step(); err != nil {
		return err
	}
	if _, ok := v.now[p]; ok {
		v.do(path.Dir(p), func(n names) { delete(n, p) })
	}
	return nil
}

func (v *volatile) Sync(dir string) error {
	if err := v.step(); err != nil {
		return err
	}
	if _, ok := v.now[dir]; !ok {
		return fs.ErrNotExist
	}
	for _, op := range v.pending[dir] {
		op(v.durable)
	}
	delete(v.pending, dir)
	return nil
}

// survivors are all the disks that may be found after the cut.
func (v *volatile) survivors() []names {
	found := []names{v.durable}
	for _, dir := range slices.Sorted(maps.Keys(v.pending)) {
		var more []names
		for _, disk := range found {
			for n := range len(v.pending[dir]) + 1 {
				disk := maps.Clone(disk)
				for _, op := range v.pending[dir][:n] {
					op(disk)
				}
				more = append(more, disk)
			}
		}
		found = more
	}
	for _, disk := range found {
		maps.DeleteFunc(disk, func(p string, _ inode) bool { // whose folder is gone
			_, ok := disk[path.Dir(p)]
			return !ok && p != "/"
		})
	}
	return found
}

// String tells disks apart.
func (n names) String() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(n)) {
		fmt.Fprintf(&b, "%s %v %q\n", p, n[p].mode, n[p].data)
	}
	return b.String()
}

// TestNoPowerCutLosesTheSecretsOrLeavesAHalf cuts the power in every step of the first start, again in every step of the next
// start, and so on, over every disk that can be found then.
func TestNoPowerCutLosesTheSecretsOrLeavesAHalf(t *testing.T) {
	const others = "ssh-ed25519 AAAA someone@example\n"
	for name, keys := range map[string]string{"own key alone": "", "beside another": others} {
		t.Run(name, func(t *testing.T) {
			secrets := map[string]string{bootstrap.ProxmoxTokenSecret: "0b7e5a44-1f6c", bootstrap.GitHubToken: "github_pat_x"}
			start := sealedDisk(t, secrets, keys)
			todo, known, whole := []names{start}, map[string]bool{}, 0
			for len(todo) > 0 {
				disk := todo[0]
				todo = todo[1:]
				if known[disk.String()] {
					continue
				}
				known[disk.String()] = true
				if !holdsAll(disk, secrets) && (disk[bootstrap.SealedPath] != start[bootstrap.SealedPath] || disk[bootstrap.KeysPath] != start[bootstrap.KeysPath]) {
					t.Fatalf("secrets are lost on this disk:\n%s", disk)
				}
				for steps := 0; ; steps++ {
					v := newVolatile(disk, steps)
					_, err := bootstrap.FirstStartOn(v)
					todo = append(todo, v.survivors()...)
					if err == nil {
						break
					}
					if !errors.Is(err, errCut) {
						t.Fatalf("after %d steps: %v on this disk:\n%s", steps, err, disk)
					}
				}
				v := newVolatile(disk, 1000)
				if _, err := bootstrap.FirstStartOn(v); err != nil {
					t.Fatal(err)
				}
				for _, end := range v.survivors() {
					wantEnd(t, end, secrets, keys)
					whole++
				}
			}
			if len(known) < 10 || whole < len(known) {
				t.Errorf("%d disks, %d ends: the test cuts nothing", len(known), whole)
			}
		})
	}
}

// sealedDisk is a container's disk before its first start.
func sealedDisk(t *testing.T, secrets map[string]string, otherKeys string) names {
	t.Helper()
	in := map[string]runner.Secret{}
	for name, s := range secrets {
		in[name] = runner.NewSecret(s)
	}
	sealed, key, err := bootstrap.Seal(in)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bootstrap.CarrierLine(key)
	if err != nil {
		t.Fatal(err)
	}
	disk := names{bootstrap.SealedPath: {string(sealed), 0o600}, bootstrap.KeysPath: {otherKeys + frame(line.Reveal()+"\n"), 0o700}}
	for _, dir := range []string{"/", "/etc", "/etc/mayfly", "/root", "/root/.ssh"} {
		disk[dir] = inode{mode: 0o755 | fs.ModeDir}
	}
	return disk
}

// frame is how Proxmox writes keys into a file.
func frame(keys string) string { return "# --- BEGIN PVE ---\n" + keys + "# --- END PVE ---\n" }

func holdsAll(disk names, secrets map[string]string) bool {
	for name, s := range secrets {
		if disk["/etc/credstore/mayfly."+name] != (inode{s, 0o400}) {
			return false
		}
	}
	return true
}

// wantEnd wants the secrets, none of the halves, and nothing else.
func wantEnd(t *testing.T, disk names, secrets map[string]string, otherKeys string) {
	t.Helper()
	if !holdsAll(disk, secrets) || disk["/etc/credstore"].mode != 0o700|fs.ModeDir {
		t.Fatalf("secrets aren't all there:\n%s", disk)
	}
	files := 2
	if otherKeys != "" {
		files++
		if disk[bootstrap.KeysPath] != (inode{otherKeys + frame(""), 0o600}) {
			t.Errorf("keys of others: %+v", disk[bootstrap.KeysPath])
		}
	}
	for p, n := range disk {
		if n.mode.IsDir() {
			continue
		}
		if files--; strings.Contains(n.data, "AGE-SECRET-KEY-") || strings.Contains(n.data, "age-encryption.org") {
			t.Errorf("%s holds a half", p)
		}
	}
	if files != 0 {
		t.Errorf("too many files:\n%s", disk)
	}
}
