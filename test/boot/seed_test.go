//go:build bench

package boot

import (
	"context"
	"strings"
	"testing"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// TestADriveWithASeedStartsCloudInit boots the image with all tricks both ways: the hand-offs by drive need cloud-init,
// which nobody else shall wait for.
func TestADriveWithASeedStartsCloudInit(t *testing.T) {
	im := images(t, []string{"all"})["all"]
	netdev := newLAN(t, shortDir(t))
	const question = `cloud-init status --wait >/dev/null 2>&1; cloud-init status; cat /run/said 2>/dev/null; echo .`
	for name, c := range map[string]struct {
		seed *pve.CloudInit
		want string
	}{
		"without a drive": {nil, "status: disabled\n.\n"},
		"with a drive": {&pve.CloudInit{
			MetaData: "instance-id: one\n", UserData: "#cloud-config\nruncmd: [ \"echo the seed says so >/run/said\" ]\n",
		}, "the seed says so\n.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			g, err := powerOn(ctx, im, netdev, qemu.TCG, c.seed)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = g.engine.Close() }()
			said, err := g.run(ctx, "/bin/sh", "-c", question)
			if err != nil || !strings.HasSuffix(said, c.want) {
				t.Errorf("cloud-init says %q, %v; want %q at its end", said, err, c.want)
			}
		})
	}
}
