package bootstrap_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/bootstrap"
)

// inFolder puts a disk into a folder.
func inFolder(t *testing.T, disk names) string {
	t.Helper()
	root := t.TempDir()
	for p, n := range disk {
		at := filepath.Join(root, p)
		if n.mode.IsDir() {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(n.data), n.mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFirstStartOpensTheSecretsOnceAndForAll(t *testing.T) {
	want := map[string]string{bootstrap.ProxmoxTokenSecret: "0b7e5a44", bootstrap.GitHubToken: "github_pat_x"}
	root := inFolder(t, sealedDisk(t, want, ""))
	for _, again := range []bool{false, true, true} {
		secrets, err := bootstrap.FirstStart(root)
		if err != nil || (len(secrets) == 0) != again {
			t.Fatalf("again %v: %v, %v", again, secrets, err)
		}
		for name, s := range want {
			at := filepath.Join(root, "etc/credstore/mayfly."+name)
			text, err := os.ReadFile(at)
			if err != nil || string(text) != s {
				t.Errorf("%s: %q, %v", name, text, err)
			}
			if info, err := os.Stat(at); err != nil || info.Mode() != 0o400 {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
		for _, half := range []string{bootstrap.SealedPath, bootstrap.KeysPath} {
			if _, err := os.Lstat(filepath.Join(root, half)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", half, err)
			}
		}
	}
}

func TestHalvesThatDontFitAreForGood(t *testing.T) {
	secrets := map[string]string{bootstrap.GitHubToken: "github_pat_x"}
	for name, change := range map[string]func(names){
		"no key":        func(d names) { delete(d, bootstrap.KeysPath) },
		"another's key": func(d names) { d[bootstrap.KeysPath] = sealedDisk(t, secrets, "")[bootstrap.KeysPath] },
		"damaged":       func(d names) { d[bootstrap.SealedPath] = inode{"age-encryption.org/v1\n", 0o600} },
	} {
		disk := sealedDisk(t, secrets, "")
		change(disk)
		root := inFolder(t, disk)
		got, err := bootstrap.FirstStart(root)
		if !errors.Is(err, bootstrap.ErrHalves) || len(got) != 0 || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "mayfly bootstrap again") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if _, err := os.Stat(filepath.Join(root, bootstrap.SealedPath)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	root := inFolder(t, sealedDisk(t, map[string]string{"../../../root/x": "y"}, ""))
	if _, err := bootstrap.FirstStart(root); !errors.Is(err, bootstrap.ErrHalves) {
		t.Errorf("a name that leads elsewhere: %v", err)
	}
}

func TestSecretsAreToldBesideAFailureSoThatItCanBeReported(t *testing.T) {
	root := inFolder(t, sealedDisk(t, map[string]string{bootstrap.ProxmoxTokenSecret: "0b7e5a44"}, ""))
	if err := os.WriteFile(filepath.Join(root, "etc", "credstore"), nil, 0o600); err != nil { // where a folder has to be
		t.Fatal(err)
	}
	secrets, err := bootstrap.FirstStart(root)
	if err == nil || errors.Is(err, bootstrap.ErrHalves) || secrets[bootstrap.ProxmoxTokenSecret].Reveal() != "0b7e5a44" {
		t.Errorf("%v, %v", secrets, err)
	}
}
