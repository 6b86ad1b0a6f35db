package fleet

import (
	"testing"

	"pgregory.net/rapid"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

func ours() (Spec, int, proxmox.VMConfig, string) {
	m := runner.Marker{Installation: "test", Runner: "ep-0123456789", VMID: 205, Pool: "ep", Created: noon, Version: "1"}
	return testSpec(), 205, proxmox.VMConfig{Name: m.Runner, Description: m.Description()}, "ci"
}

func TestClaimNeedsEverySign(t *testing.T) {
	if _, err := Claim(ours()); err != nil {
		t.Fatalf("our own VM isn't claimed: %v", err)
	}
	for name, spoil := range map[string]func(s *Spec, vmid *int, cfg *proxmox.VMConfig, pool *string){
		"VMID out of range":   func(s *Spec, _ *int, _ *proxmox.VMConfig, _ *string) { s.VMIDs = Range{300, 399} },
		"template":            func(_ *Spec, _ *int, cfg *proxmox.VMConfig, _ *string) { cfg.Template = true },
		"no marker":           func(_ *Spec, _ *int, cfg *proxmox.VMConfig, _ *string) { cfg.Description = "a note" },
		"copied marker":       func(_ *Spec, vmid *int, _ *proxmox.VMConfig, _ *string) { *vmid = 206 },
		"other installation":  func(s *Spec, _ *int, _ *proxmox.VMConfig, _ *string) { s.Installation = "other" },
		"renamed":             func(_ *Spec, _ *int, cfg *proxmox.VMConfig, _ *string) { cfg.Name = "precious" },
		"other resource pool": func(_ *Spec, _ *int, _ *proxmox.VMConfig, pool *string) { *pool = "other" },
		"no resource pool":    func(_ *Spec, _ *int, _ *proxmox.VMConfig, pool *string) { *pool = "" },
		"two markers":         func(_ *Spec, _ *int, cfg *proxmox.VMConfig, _ *string) { cfg.Description += cfg.Description },
	} {
		t.Run(name, func(t *testing.T) {
			s, vmid, cfg, pool := ours()
			spoil(&s, &vmid, &cfg, &pool)
			if m, err := Claim(s, vmid, cfg, pool); err == nil {
				t.Errorf("claimed: %+v", m)
			}
		})
	}
}

func TestClaimRefusesAnyEditedMarker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, vmid, cfg, pool := ours()
		text := []byte(cfg.Description)
		start := len(text) - 150 // within the marker's line
		i := rapid.IntRange(start, len(text)-2).Draw(t, "at")
		b := rapid.Byte().Draw(t, "byte")
		if text[i] == b {
			return
		}
		text[i] = b
		cfg.Description = string(text)
		m, err := Claim(s, vmid, cfg, pool)
		if err != nil {
			return
		}
		// What may change unnoticed must not be what ownership rests on.
		if m.Installation != s.Installation || m.VMID != vmid || m.Runner != cfg.Name {
			t.Fatalf("claimed with an edited marker: %+v", m)
		}
	})
}
