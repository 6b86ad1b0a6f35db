package bootstrap_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/bootstrap"
)

// program is the start of an ELF file, as far as it is looked at.
func program(t *testing.T, machine elf.Machine, segments ...elf.ProgType) string {
	t.Helper()
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: uint16(len(segments)),
	}
	copy(h.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	var out bytes.Buffer
	parts := []any{h}
	for _, kind := range segments {
		parts = append(parts, elf.Prog64{Type: uint32(kind)})
	}
	for _, part := range parts {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "mayfly")
	if err := os.WriteFile(path, out.Bytes(), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func contents(t *testing.T) bootstrap.Contents {
	t.Helper()
	return bootstrap.Contents{
		Program: program(t, elf.EM_X86_64, elf.PT_LOAD), Config: []byte("installation: ep\n"), Sealed: []byte("age-encryption.org/v1"), VMID: 190,
		Files: []bootstrap.File{{Path: "/etc/mayfly/ca.pem", Data: []byte("CERTIFICATE")}},
	}
}

func TestContentsAreWholeAndAsReadableAsTheyMustBe(t *testing.T) {
	entries, err := contents(t).Entries()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	debian := pack(t, member{Name: "./etc/", Type: '5', Mode: 0o755}, member{Name: "./etc/hosts", Type: '0', Mode: 0o644})
	if err := bootstrap.AddTo(t.Context(), &out, bytes.NewReader(debian), entries, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	got := map[string]member{}
	for _, m := range unpack(t, expand(t, out.Bytes())) {
		if m.UID != 0 || m.GID != 0 {
			t.Errorf("%s is %d:%d's", m.Name, m.UID, m.GID)
		}
		got[strings.TrimPrefix(m.Name, ".")] = m
	}
	for path, mode := range map[string]int64{
		"/usr/bin/mayfly": 0o755, "/etc/mayfly/": 0o755, "/etc/mayfly/mayfly.yaml": 0o644, "/etc/mayfly/sealed.age": 0o600, "/etc/mayfly/ca.pem": 0o644,
		"/etc/credstore/": 0o700, "/usr/lib/systemd/system/mayfly.service": 0o644, "/usr/lib/systemd/system/mayfly-first-start.service": 0o644,
		"/etc/systemd/system/mayfly.service.d/container.conf": 0o644, "/etc/systemd/system-preset/10-mayfly.preset": 0o644,
	} {
		if m, ok := got[path]; !ok || m.Mode != mode {
			t.Errorf("%s: there %v, mode %o, want %o", path, ok, m.Mode, mode)
		}
	}
	for _, path := range []string{"/etc/systemd/system/multi-user.target.wants/mayfly.service", "/etc/systemd/system/dispatcher.service"} {
		if to := got[path].Link; got[to].Body == "" {
			t.Errorf("%s leads to %q, which isn't there", path, to)
		}
	}
	for _, unit := range []string{"mayfly", "mayfly-first-start"} {
		dropIn := got["/etc/systemd/system/"+unit+".service.d/container.conf"].Body
		lines := strings.Split(dropIn, "\n")
		if at := slices.Index(lines, "Environment=MAYFLY_CONTAINER_VMID=190"); at < 0 || at < slices.Index(lines, "[Service]") {
			t.Errorf("drop-in of %s:\n%s", unit, dropIn)
		}
	}
}

func TestWhatCantRunInTheContainerIsRefusedBeforeAnythingIsUploaded(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*bootstrap.Contents)
		want   string
	}{
		"no program":     {func(c *bootstrap.Contents) { c.Program = "/nowhere/mayfly" }, "no such file"},
		"another's":      {func(c *bootstrap.Contents) { c.Program = program(t, elf.EM_AARCH64) }, "is for EM_AARCH64; name the release's mayfly for linux/amd64"},
		"with libraries": {func(c *bootstrap.Contents) { c.Program = program(t, elf.EM_X86_64, elf.PT_LOAD, elf.PT_INTERP) }, "needs shared libraries"},
		"a script": {func(c *bootstrap.Contents) {
			c.Program = filepath.Join(t.TempDir(), "x")
			if err := os.WriteFile(c.Program, []byte("#!/bin/sh\nexit 0\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is no program for Linux"},
		"no VMID":       {func(c *bootstrap.Contents) { c.VMID = 0 }, "0 is no VMID"},
		"no secrets":    {func(c *bootstrap.Contents) { c.Sealed = nil }, "sealed secrets are needed"},
		"clear secrets": {func(c *bootstrap.Contents) { c.Files = []bootstrap.File{{Path: "/etc/credstore/mayfly.x"}} }, "which go in sealed"},
	} {
		c := contents(t)
		tc.change(&c)
		if got, err := c.Entries(); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %d entries, %v; want %q", name, len(got), err, tc.want)
		}
	}
}

func TestEntriesAreReadWhole(t *testing.T) {
	entries, err := contents(t).Entries()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Body == nil {
			if e.Link == "" && e.Mode&fs.ModeDir == 0 {
				t.Errorf("%s has no body", e.Path)
			}
			continue
		}
		if n, err := io.Copy(io.Discard, e.Body); err != nil || n != e.Size || n == 0 {
			t.Errorf("%s: %d of %d bytes, %v", e.Path, n, e.Size, err)
		}
	}
}
