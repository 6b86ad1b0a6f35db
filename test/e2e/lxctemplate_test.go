//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/sim/pve/qemu"
)

// templatePackages are what matters of Proxmox's Debian 12 template: its init, its network, ssh, cron and root certificates.
var templatePackages = []string{
	"systemd-sysv", "dbus", "libpam-systemd", "ifupdown", "iproute2", "isc-dhcp-client", "openssh-server", "cron", "ca-certificates",
	"e2fsprogs", "netbase", "tzdata", "procps",
}

// debianTemplate is a container template as Proxmox offers it: Debian 12 as a tar.zst with names that begin with "./". It is made
// once (half a minute and 60 MB of downloads) and kept beside the guests.
func debianTemplate(t *testing.T) string {
	t.Helper()
	cache, err := qemu.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	mirror := os.Getenv("MAYFLY_DEBIAN_MIRROR")
	include := "--include=" + strings.Join(templatePackages, ",")
	sum := sha256.Sum256([]byte(include + mirror))
	path := filepath.Join(cache, "lxc-template-"+hex.EncodeToString(sum[:8])+".tar.zst")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	plain, packed := filepath.Join(shortDir(t), "debian.tar"), fmt.Sprintf("%s.%d", path, os.Getpid())
	args := []string{
		"mmdebstrap", "--quiet", "--variant=minbase", include,
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		`--aptopt=Acquire::Languages "none"`, "--aptopt=Acquire::Retries 3", `--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*`,
		"bookworm", plain,
	}
	if mirror != "" {
		args = append(args, mirror)
	}
	rootDo(t, args...)
	rootDo(t, "zstd", "-q", "-f", plain, "-o", packed)
	rootDo(t, "chown", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), packed)
	rootDo(t, "rm", plain)
	if err := os.Rename(packed, path); err != nil {
		t.Fatal(err)
	}
	return path
}
