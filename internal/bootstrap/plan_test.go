package bootstrap_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/bootstrap"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

func container() bootstrap.Container {
	return bootstrap.Container{
		VMID: 190, Hostname: "mayfly", Bridge: "vmbr0", Storage: "local-lvm", Cores: 2, Memory: 512*runner.MiB + 1, Disk: 4*runner.GiB - 1,
		IP: "192.0.2.5/24", Gateway: "192.0.2.1", ResourcePool: "ci",
	}
}

func TestCreationSaysWhatTheContainerIsToBe(t *testing.T) {
	c := container()
	c.MAC, c.Description, c.KeyLine = "BC:24:11:00:00:01", "a marker", runner.NewSecret("ssh-ed25519 AAAA x")
	want := proxmox.NewContainer{VMID: 190, Template: "local:vztmpl/m.tar.zst", Pool: "ci", Options: map[string]string{
		"hostname": "mayfly", "unprivileged": "1", "features": "nesting=1", "swap": "0", "ostype": "debian", "rootfs": "local-lvm:4",
		"cores": "2", "memory": "513", "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=192.0.2.5/24,gw=192.0.2.1",
		"ssh-public-keys": "ssh-ed25519 AAAA x", "description": "a marker",
	}}
	if diff := cmp.Diff(want, c.Creation("local:vztmpl/m.tar.zst")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTokenOfThePoolMakesTheContainer creates one on the stand-in, with a key, by a token that has only what a resource
// pool and storages give.
func TestTokenOfThePoolMakesTheContainer(t *testing.T) {
	s := pve.New(pve.Options{MayUpload: true, Timing: pve.DemoTiming()})
	defer s.Close()
	info := s.Info()
	c, err := proxmox.New(proxmox.Options{
		Endpoints: []string{info.URL}, TokenID: info.TokenID, TokenSecret: runner.NewSecret(info.TokenSecret), Transport: s.RoundTripper(),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := bootstrap.Seal(nil)
	if err != nil {
		t.Fatal(err)
	}
	ct := container()
	if ct.KeyLine, err = bootstrap.CarrierLine(key); err != nil {
		t.Fatal(err)
	}
	upid, err := c.CreateContainer(t.Context(), info.Node, ct.Creation("local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WaitTask(t.Context(), upid); err != nil {
		t.Fatal(err)
	}
	got, err := c.ContainerConfig(t.Context(), info.Node, 190)
	if err != nil || got.Hostname != "mayfly" || got.Values["memory"] != "513" || strings.Contains(strings.Join(append(got.Tags, got.Description), " "), "ssh-") {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestNewestTemplateIsPickedByNumberAndOnlyWithAChecksum(t *testing.T) {
	sum := strings.Repeat("ab", 64)
	entry := func(pkg, version, rest, sum string) proxmox.Appliance {
		return proxmox.Appliance{Template: pkg + "_" + version + rest, Package: pkg, Version: version, SHA512: sum}
	}
	index := []proxmox.Appliance{
		entry("debian-12-standard", "12.2-1", "_amd64.tar.zst", sum), entry("debian-12-standard", "12.12-1", "_amd64.tar.zst", sum),
		entry("debian-12-standard", "12.7-1", "_amd64.tar.zst", sum), entry("debian-13-standard", "13.6-1", "_amd64.tar.zst", sum),
		entry("debian-12-standard", "12.99-1", "_arm64.tar.zst", sum), entry("debian-12-standard", "12.98-1", "_amd64.tar.xz", sum),
		entry("debian-12-standard", "12.97-1", "_amd64.tar.zst", ""),
	}
	if got, err := bootstrap.NewestTemplate(index); err != nil || got.Version != "12.12-1" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := bootstrap.NewestTemplate(index[3:]); !errors.Is(err, bootstrap.ErrNoTemplate) || !strings.Contains(err.Error(), "CT_TEMPLATE") {
		t.Errorf("none: %v", err)
	}
}
