package world

import (
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
)

func TestShellDoesWhatStepsNeed(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		errexit      bool
		out          string
		code         int
	}{
		{name: "echo", script: `echo a "b  c" 'd$x'`, out: "a b  c d$x\n"},
		{name: "variables", script: `X=1; Y="$X-${X}2"; echo $Y $NOSUCH end`, out: "1-12 end\n"},
		{name: "environment", script: "echo $GIVEN", out: "yes\n"},
		{name: "file", script: "echo one > /tmp/f; echo two >> /tmp/f; cat /tmp/f", out: "one\ntwo\n"},
		{name: "and", script: "true && echo yes; false && echo no", out: "yes\n", code: 1},
		{name: "or", script: "false || echo yes; true || echo no", out: "yes\n"},
		{name: "status", script: "false; echo $?", out: "1\n"},
		{name: "exit", script: "echo a; exit 7; echo b", out: "a\n", code: 7},
		{name: "errexit", script: "echo a\nfalse\necho b", errexit: true, out: "a\n", code: 1},
		{name: "errexit spares what is asked", script: "false || true\ntest -e /nosuch && echo no\necho b", errexit: true, out: "b\n"},
		{name: "unknown", script: "nosuch", code: 127},
		{name: "test", script: `[ -e /etc/passwd ] && [ ! -e /nosuch ] && [ "$GIVEN" = yes ] && test -d /etc && echo ok`, out: "ok\n"},
		{name: "folders", script: "mkdir -p a/b; cd a/b; pwd; touch f; ls", out: "/work/a/b\nf\n"},
		{name: "mkdir twice", script: "mkdir d; mkdir d", code: 1},
		{name: "rm", script: "touch f; rm f; rm -f f; rm f", code: 1},
		{name: "comment", script: "# nothing\necho a # b", out: "a\n"},
		{name: "pipe", script: "echo a | cat", code: 2},
		{name: "open quote", script: `echo "a`, code: 2},
		{name: "no folder", script: "echo a > /nosuch/f", code: 1},
		{name: "sleep", script: "sleep 1.5; echo done", out: "done\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGuests(GuestOptions{})
				defer g.Close()
				m := newMachine(g, pve.Machine{VMID: 201}, Normal, newDisk(Image()), 1)
				defer m.power()
				m.disk.mkdir("/work")
				o := m.shell(t.Context(), "/work", []string{"GIVEN=yes"}, "", tc.errexit).run(tc.script)
				if o.out != tc.out || o.code != tc.code {
					t.Errorf("%q: code %d, out %q, err %q; want code %d, out %q", tc.script, o.code, o.out, o.err, tc.code, tc.out)
				}
			})
		})
	}
}

// FuzzShell wants no script to crash or hang it.
func FuzzShell(f *testing.F) {
	for _, script := range []string{"echo a && b || c; d", `"$X${Y}'`, "a > b >> c", "\\", "${", "[ ! ] ]", "$?", "exit 999"} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script string) {
		g := NewGuests(GuestOptions{})
		defer g.Close()
		m := newMachine(g, pve.Machine{VMID: 201}, Normal, newDisk(Image()), 1)
		ctx := t.Context()
		// A real clock: a sleep in the script ends with the power.
		timer := time.AfterFunc(time.Second, m.power)
		defer timer.Stop()
		defer m.power()
		o := m.shell(ctx, "/", nil, "", false).run(script)
		if o.code < 0 || o.code > 255 {
			t.Errorf("exit code %d", o.code)
		}
	})
}
