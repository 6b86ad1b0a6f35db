package proxmox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/proxmox"
)

func TestUPIDComesApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := rapid.StringMatching(`[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?`).Draw(t, "node")
		start := rapid.Uint32().Draw(t, "start")
		typ := rapid.StringMatching(`[a-z]{2,12}`).Draw(t, "type")
		id := rapid.StringMatching(`([0-9]{3,9}|[0-9]+@local|)`).Draw(t, "id")
		user := rapid.StringMatching(`[a-z]+@(pam|pve)(![a-zA-Z][a-z0-9]+)?`).Draw(t, "user")
		s := fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", node, rapid.Uint32().Draw(t, "pid"), rapid.Uint64Range(0, 0xfffffffff).Draw(t, "pstart"), start, typ, id, user)
		u, err := proxmox.ParseUPID(s)
		if err != nil {
			t.Fatal(err)
		}
		if u.Node() != node || u.Type() != typ || u.ID() != id || u.User() != user || !u.Start().Equal(time.Unix(int64(start), 0)) {
			t.Errorf("%s comes apart as %q %q %q %q %v", s, u.Node(), u.Type(), u.ID(), u.User(), u.Start())
		}
	})
}

func TestWhatIsNoUPIDIsRefused(t *testing.T) {
	for _, bad := range []string{
		"", "UPID", "OK", upid + "x", strings.TrimSuffix(upid, ":"), " " + upid, upid + "\n",
		"UPID:pve1:0000481:0007DA4D:6B04FAF6:qmclone:9000:ci@pve:", "UPID:pve1:0000481G:0007DA4D:6B04FAF6:qmclone:9000:ci@pve:",
		"UPID:pve1:00004812:0007DA4D:6B04FAF6::9000:ci@pve:", "UPID:../x:00004812:0007DA4D:6B04FAF6:qmclone:9000:ci@pve:",
		"UPID:pve1:00004812:0007DA4D:6B04FAF6:qmclone:9000:a b:", "UPID:pve1:00004812:0007DA4D:6B04FAF6:qmclone:9000::",
		"UPID:pve1:00004812:0007DA4D:6B04FAF6:qm/../clone:9000:ci@pve:",
	} {
		u, err := proxmox.ParseUPID(bad)
		if err == nil {
			t.Errorf("%q is accepted", bad)
		}
		if u != "" {
			t.Errorf("%q gives %q beside the error", bad, u)
		}
		if loose := proxmox.UPID(bad); loose.Node() != "" || !loose.Start().IsZero() {
			t.Errorf("%q has parts", bad)
		}
	}
}

func FuzzParseUPID(f *testing.F) {
	f.Add(upid)
	f.Add("UPID:pve1:00000001:00000001:5F000000:qmstart:101:ci@pve!runner:")
	f.Add("UPID:::::::")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := proxmox.ParseUPID(s)
		if err != nil {
			if u != "" || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q: %q, %v", s, u, err)
			}
			return
		}
		again := fmt.Sprintf("UPID:%s:%s:%s:%s:%s:%s:%s:", u.Node(), strings.Split(s, ":")[2], strings.Split(s, ":")[3],
			strings.Split(s, ":")[4], u.Type(), u.ID(), u.User())
		if again != s || u.Node() == "" || u.Type() == "" || u.Start().IsZero() {
			t.Errorf("%q comes back as %q", s, again)
		}
	})
}
