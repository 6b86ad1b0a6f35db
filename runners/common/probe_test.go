package common_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestProbeTellsWhatTheNetworkIsLike has the kernel's tables as Linux prints them (/proc/net/route, /proc/net/ipv6_route).
func TestProbeTellsWhatTheNetworkIsLike(t *testing.T) {
	const (
		link     = "eth0\t0002000A\t00000000\t0001\t0\t0\t1024\t00FFFFFF\t0\t0\t0\n"
		half     = "eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n" // 0.0.0.0/1, which some VPNs set
		route    = "eth0\t00000000\t0202000A\t0003\t0\t0\t1024\t00000000\t0\t0\t0\n"
		zero     = "00000000000000000000000000000000"
		metrics  = " 00000400 00000001 00000000 00450003     "
		route6   = zero + " 00 " + zero + " 00 fe800000000000000000000000000001" + metrics + "eth0\n"
		nowhere6 = zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo\n"
		link6    = "fe800000000000000000000000000000 40 " + zero + " 00 " + zero + metrics + "eth0\n"
	)
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		for name, c := range map[string]struct {
			v4, v6     string
			mute       bool
			route, dns bool
		}{
			"no network":         {},
			"an address only":    {v4: routeHead + link, v6: link6 + nowhere6},
			"half the addresses": {v4: routeHead + half},
			"IPv4":               {v4: routeHead + link + route, route: true, dns: true},
			"IPv6 only":          {v4: routeHead, v6: link6 + route6 + nowhere6, route: true, dns: true},
			"no resolver":        {v4: routeHead + route, mute: true, route: true},
		} {
			b.write("proc/net/route", c.v4, 0o644)
			b.write("proc/net/ipv6_route", c.v6, 0o644)
			if c.mute {
				b.write("mute", "", 0o644)
			}
			r := b.call("", "--probe")
			want := fmt.Sprintf(`"route":%t,"dns":%t,"listener":true}`+"\n", c.route, c.dns)
			if r.code != 0 || r.err != "" || !strings.HasSuffix(r.out, want) {
				t.Errorf("%s: %+v, want it to end with %s", name, r, want)
			}
			if c.mute {
				b.remove("mute")
			}
		}
	})
}
