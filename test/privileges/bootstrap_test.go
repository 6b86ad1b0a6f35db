package privileges

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mayfly/internal/bootstrap"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
	"mayfly/test/roles"
)

// bootstrapRun is mayfly bootstrap, twice, so that the second replaces the first's container. It works when the dispatcher
// inside, which has the same token, has told that it is ready both times.
func bootstrapRun(t *testing.T, release int, needs, except []roles.Need) outcome {
	s := withDispatcher(t, release, needs, except)
	defer s.close()
	spec := bootstrap.Spec{
		Installation: "exactly", Node: node, TokenID: tokenID, Container: container(), TemplateFile: containerTemplate(t), TemplateStorage: "local",
		Reserved: []bootstrap.VMIDs{{Start: 300, End: 319}}, Program: program(t), Config: []byte("installation: exactly\n"), Version: "test", Patience: time.Minute,
		Secrets: map[string]runner.Secret{bootstrap.ProxmoxTokenSecret: runner.NewSecret(tokenSecret), bootstrap.GitHubToken: runner.NewSecret("ghp_x")},
	}
	worked := true
	for range 2 {
		_, err := bootstrap.Run(t.Context(), bootstrap.Options{Proxmox: s.client(), Dir: t.TempDir()}, spec)
		s.said.add(err)
		worked = worked && err == nil
		spec.Force = true
	}
	return s.outcome(worked)
}

// bootstrapCalls is bootstrap's work on Proxmox without the look beforehand, so that each refusal is that of the call itself.
func bootstrapCalls(t *testing.T, release int, needs, except []roles.Need) outcome {
	s := withDispatcher(t, release, needs, except)
	defer s.close()
	const archive = "prepared"
	c := container()
	c.VMID = 190
	err := bootstrap.Make(t.Context(), s.client(), bootstrap.Making{
		Node: node, Container: c, Archive: strings.NewReader(archive), Size: int64(len(archive)), TemplateStorage: "local",
		TemplateName: bootstrap.TemplateName(190, "abc"), Patience: time.Minute,
	})
	s.said.add(err)
	return s.outcome(err == nil)
}

// withDispatcher is a stage whose containers tell that they are ready, a while after their start.
func withDispatcher(t *testing.T, release int, needs, except []roles.Need) *stage {
	t.Helper()
	var s *stage
	s = onStage(t, release, needs, except, pve.Options{Dir: t.TempDir(), Container: func(ctx context.Context, c *pve.Container) {
		if sleep(ctx, 10*time.Second) {
			s.said.add(bootstrap.Teller{API: s.client(), VMID: c.VMID, Log: s.logger()}.Insist(ctx, bootstrap.Word{Ready: true}))
		}
	}})
	return s
}

func container() bootstrap.Container {
	return bootstrap.Container{
		Hostname: "mayfly", Bridge: "vmbr0", Storage: "local-lvm", Cores: 1, Memory: 512 * runner.MiB, Disk: 4 * runner.GiB, IP: "dhcp", ResourcePool: "ci",
	}
}

// containerTemplate is as much of a template as bootstrap looks at.
func containerTemplate(t *testing.T) string {
	t.Helper()
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(z)
	for _, step := range []func() error{
		func() error {
			return archive.WriteHeader(&tar.Header{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o755})
		},
		archive.Close, z.Close,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return file(t, "debian-12-standard_12.12-1_amd64.tar.zst", packed.Bytes())
}

// program is as much of a statically linked program for linux/amd64 as bootstrap looks at (the ELF header and one segment).
func program(t *testing.T) string {
	t.Helper()
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(h.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	var out bytes.Buffer
	for _, part := range []any{h, elf.Prog64{Type: uint32(elf.PT_LOAD)}} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return file(t, "mayfly", out.Bytes())
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
