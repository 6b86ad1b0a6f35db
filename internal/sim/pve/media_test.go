package pve

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// trayEngine hears of media.
type trayEngine struct {
	Engine
	started *[]Machine
	changed *[]string
}

func (e trayEngine) Start(ctx context.Context, m Machine) error {
	*e.started = append(*e.started, m)
	return e.Engine.Start(ctx, m)
}

func (e trayEngine) ChangeMedium(_ context.Context, vmid int, drive string, image []byte) error {
	*e.changed = append(*e.changed, fmt.Sprintf("%d %s %s", vmid, drive, image))
	return nil
}

func TestAnUploadedImageIsInItsDriveUntilItIsEjected(t *testing.T) {
	var started []Machine
	var changed []string
	bubble(t, Options{Engine: trayEngine{newBlankEngine(), &started, &changed}, CloudInitDrive: true}, func(t *testing.T, s *Server) {
		fleet := adminOf(t, s) // the fleet's own token may not upload
		fleet.vmFor("270")
		fleet.wait(fleet.upload("local", false, part{"content", "", "iso"}, part{"filename", "x.iso", "image"}).text())
		cloudinit := "local-lvm:vm-270-cloudinit"
		if s.State().vm(270).Config["ide2"] != cloudinit+",media=cdrom" {
			t.Fatalf("ide2 is %q", s.State().vm(270).Config["ide2"])
		}
		fleet.must("200 OK", "PUT", vmPath("270", "/config"), "ide2=local:iso/x.iso,media=cdrom")
		if find(fleet.call("GET", "/nodes/pve1/storage/local-lvm/content").list(), "volid", cloudinit) != nil {
			t.Error("the cloud-init drive that was replaced is still there")
		}
		if exit := fleet.task("POST", vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		if m := started[0]; string(m.Media["ide2"]) != "image" || m.CloudInit != nil || len(changed) > 0 {
			t.Errorf("started with %q, %v; changed %q", m.Media, m.CloudInit, changed)
		}
		fleet.must("200 OK", "PUT", vmPath("270", "/config"), "ide2=none,media=cdrom")
		fleet.must("200 OK", "PUT", vmPath("270", "/config"), "onboot=0")
		if want := []string{"270 ide2 "}; !slices.Equal(changed, want) || s.State().vm(270).Config["ide2"] != "none,media=cdrom" {
			t.Errorf("changed %q, want %q; ide2 is %q", changed, want, s.State().vm(270).Config["ide2"])
		}
	})
}
