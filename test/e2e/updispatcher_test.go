//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mayfly/internal/bootstrap"
	"mayfly/internal/sim/pve"
)

// dispatchers run the program that is in a container's archive, with the configuration that is there and the secrets that its
// first start would open: as a process of this machine, where both stand-ins are. TestBootstrappedContainerServesJobs boots such an archive.
type dispatchers struct{ t *testing.T }

// run is what goes on in a container, until ctx ends.
func (d *dispatchers) run(ctx context.Context, c *pve.Container) {
	if err := d.serve(ctx, c); err != nil {
		d.t.Errorf("dispatcher in container %d: %v", c.VMID, err)
	}
}

func (d *dispatchers) serve(ctx context.Context, c *pve.Container) error {
	files, err := archived(c, "./usr/bin/mayfly", "./etc/mayfly/mayfly.yaml", "./etc/mayfly/sealed.age")
	if err != nil {
		return err
	}
	key, _, ok := bootstrap.TakeKey([]byte(c.AuthorizedKeys))
	if !ok {
		return fmt.Errorf("no key came with the container's creation")
	}
	secrets, err := bootstrap.Open(files["./etc/mayfly/sealed.age"], key)
	if err != nil {
		return err
	}
	dir := d.t.TempDir()
	program, config := filepath.Join(dir, "mayfly"), filepath.Join(dir, "mayfly.yaml")
	if err := os.WriteFile(program, files["./usr/bin/mayfly"], 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(config, files["./etc/mayfly/mayfly.yaml"], 0o600); err != nil {
		return err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "run", "--config", config, "--listen", "127.0.0.1:0")
	cmd.Dir = dir
	cmd.Env = []string{
		"PROXMOX_TOKEN_SECRET=" + secrets[bootstrap.ProxmoxTokenSecret].Reveal(), "GITHUB_TOKEN=" + secrets[bootstrap.GitHubToken].Reveal(),
		fmt.Sprintf("%s=%d", bootstrap.VMIDVariable, c.VMID),
	}
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w:\n%s", err, &said)
	}
	return nil
}

// archived reads files of the archive that a container was made of.
func archived(c *pve.Container, names ...string) (map[string][]byte, error) {
	r, err := c.Archive()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	z, err := zstd.NewReader(r)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	files := map[string][]byte{}
	for _, name := range names {
		files[name] = nil
	}
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if _, wanted := files[h.Name]; wanted {
			if files[h.Name], err = io.ReadAll(archive); err != nil {
				return nil, err
			}
		}
	}
	for name, data := range files {
		if data == nil {
			return nil, fmt.Errorf("the archive has no %s", name)
		}
	}
	return files, nil
}

// bareTemplate is Debian as far as bootstrap looks at it: nothing in it is run.
func bareTemplate(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "debian-12.tar")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := tar.NewWriter(out)
	for _, h := range []tar.Header{{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "./etc/debian_version", Typeflag: tar.TypeReg, Mode: 0o644}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// upProgram is mayfly as releases have it: linked statically, as a container needs it.
func upProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mayfly")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/mayfly")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build mayfly: %v\n%s", err, out)
	}
	return path
}
