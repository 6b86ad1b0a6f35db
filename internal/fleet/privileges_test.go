package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
)

// What the token may not set up is left out, that and nothing else, and told by Proxmox's own words.
func TestOnlyWhatMayNotBeSetUpIsLeftOut(t *testing.T) {
	const (
		tag     = "Permission check failed (/, Sys.Modify for modifying tag 'mayfly')"
		network = "Permission check failed (/vms/201, VM.Config.Network)"
		bridge  = "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)"
	)
	for _, tc := range []struct {
		name      string
		refusals  []string // of the changes of the config, one after the other
		tags, mac bool     // whether they are ours in the end
		says      string
	}{
		{"a tag", []string{tag}, false, true, "tags not allowed"},
		{"the network card", []string{network}, true, false, "the token needs VM.Config.Network on /pool/ci"},
		{"both", []string{tag, bridge}, false, false, "the token needs SDN.Use on /sdn/zones/localnetwork/vmbr0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				for _, reason := range tc.refusals {
					if _, err := b.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Method: "PUT", Path: "/nodes/*/qemu/*/config", Count: 1}, Kind: "answer", Status: 403, Reason: reason}); err != nil {
						t.Fatal(err)
					}
				}
				b.queue(1, time.Minute)
				b.served(10 * time.Minute)
				for _, v := range b.pve.VMs() {
					if v.Decoy != "" || v.Template {
						continue
					}
					if has := strings.Contains(v.Config["tags"], "mayfly"); has != tc.tags {
						t.Errorf("tags %q", v.Config["tags"])
					}
					if ours := strings.Contains(v.Config["net0"], "=02:"); ours != tc.mac {
						t.Errorf("net0 %q", v.Config["net0"])
					}
					if v.Config["onboot"] != "0" || v.Config["reboot"] != "0" {
						t.Errorf("config %v", v.Config)
					}
				}
				if !strings.Contains(b.log.String(), tc.says) {
					t.Errorf("the log doesn't say %q", tc.says)
				}
			})
		})
	}
}
