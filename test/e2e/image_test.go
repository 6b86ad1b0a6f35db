//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// TestRunnerImageIsWhatItSays looks into two machines of one image that the provisioning scripts made.
func TestRunnerImageIsWhatItSays(t *testing.T) {
	t.Parallel()
	_, address := newGitHub(t)
	m := newMachines(t, image(t, "runner"), address)
	ids := map[string]string{}
	for _, vmid := range []int{201, 202} {
		m.boot(vmid, map[string]string{"agent": "1"})
		for what, c := range map[string]struct{ command, want string }{
			"mayfly.json": {"cat /opt/actions-runner/mayfly.json", `{"image":"debian-12","version":"20261124-0000","runner_version":"2.335.1","runner_released":"2026-11-20","contract":2,`},
			"probe":       {runOnce + " --probe", `"image":"debian-12 20261124-0000"`},
			"no registration": {
				"ls -A /opt/actions-runner | grep -c -e '^.runner$' -e '^.credentials' || :", "0\n",
			},
			"tools":            {"for c in curl git gcc g++ make python3 cmake ninja ccache pkg-config unzip zstd jq sudo; do command -v $c >/dev/null || echo no $c; done; echo all", "all\n"},
			"no password":      {"grep -v -e ':[*!]' /etc/shadow | wc -l", "0\n"},
			"sudo for jobs":    {"setpriv --reuid runner --regid runner --init-groups sudo -n id -u", "0\n"},
			"no apt timers":    {"systemctl is-enabled apt-daily.timer apt-daily-upgrade.timer || :", "masked\nmasked\n"},
			"time is kept":     {"systemctl is-enabled systemd-timesyncd.service", "enabled\n"},
			"no swap":          {"wc -l </proc/swaps", "1\n"},
			"nothing of build": {"ls -d /var/tmp/mayfly /etc/apt/apt.conf.d/00mayfly-build 2>/dev/null | wc -l", "0\n"},
			"an address by its card's": {
				"until networkctl status 2>/dev/null | grep -q routable; do sleep 1; done; cat /etc/netplan/*.yaml /etc/systemd/network/50-mayfly.network 2>/dev/null | grep -c -e 'dhcp-identifier: mac' -e 'ClientIdentifier=mac'", "1\n",
			},
			"the boot ends well": {"systemctl is-system-running --wait; systemctl --failed --no-legend", "running\n"},
		} {
			if code, out := m.sh(vmid, c.command, ""); code != 0 || !strings.HasPrefix(out, c.want) && !strings.Contains(out, c.want) {
				t.Errorf("VM %d, %s: %d, %q, want %q", vmid, what, code, out, c.want)
			}
		}
		_, id := m.sh(vmid, "cat /etc/machine-id", "")
		if other := ids[id]; len(strings.TrimSpace(id)) != 32 || other != "" {
			t.Errorf("VM %d has the machine-id %q, as %q has", vmid, id, other)
		}
		ids[id] = "another"
	}
}
