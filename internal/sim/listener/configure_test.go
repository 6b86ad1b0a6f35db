package main

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/sim/runnerproto"
)

func TestARegistrationTokenBecomesAConfiguration(t *testing.T) {
	f := newFake(t)
	r := newRunner(t, inputPrefix+"TOKEN=AREG", "LANG=C.UTF-8")
	r.start("configure", "--unattended", "--ephemeral", "--disableupdate", "--url", f.URL+"/NREL/EnergyPlus", "--name", "ep-1",
		"--labels", "a, b", "--work", "_work")
	if code := r.wait(); code != 0 {
		t.Fatalf("exit code %d; printed:\n%s", code, r.printed)
	}
	r.wantPrinted("√ Connected to GitHub", "√ Runner successfully added", "√ Settings Saved.")
	got := f.registered[0]
	if got.Name != "ep-1" || !slices.Equal(got.Labels, []string{"a", "b"}) || !got.Ephemeral || !got.DisableUpdate || got.Replace || got.NoDefaultLabels {
		t.Errorf("registered as %+v", got)
	}
	if path, _ := os.ReadFile(r.path(".path")); strings.TrimSpace(string(path)) != r.variable("PATH") {
		t.Errorf(".path is %q", path)
	}

	again := newRunner(t)
	again.root = r.root
	again.start("configure", "--url", f.URL+"/NREL/EnergyPlus", "--token", "AREG")
	if code := again.wait(); code != exitTerminated {
		t.Errorf("configured twice: exit code %d", code)
	}
	again.wantPrinted("already configured")

	again = newRunner(t)
	again.root = r.root
	f.messages <- steps("echo $LANG")
	again.start("run")
	if code := again.wait(); code != 0 || f.resultOf(11) != runnerproto.Succeeded || !strings.Contains(f.logged(), "Z C.UTF-8\n") {
		t.Errorf("exit code %d, told %q, log:\n%s", code, f.resultOf(11), f.logged())
	}
}

func TestConfigurationsThatCantBeEndWithOne(t *testing.T) {
	f := newFake(t)
	url := f.URL + "/NREL/EnergyPlus"
	cases := map[string]struct {
		args  []string
		print string
	}{
		"no token":     {[]string{"configure", "--url", url}, "Invalid configuration provided for token"},
		"no url":       {[]string{"configure", "--token", "AREG"}, "Invalid configuration provided for url"},
		"wrong token":  {[]string{"configure", "--url", url, "--token", "AOTHER"}, "no such token"},
		"no target":    {[]string{"configure", "--url", f.URL, "--token", "AREG"}, "want https://HOST/OWNER/REPO"},
		"not at all":   {[]string{"run"}, "Runner is not configured."},
		"no JIT":       {[]string{"run", "--jitconfig", "bm90IEpTT04="}, "decode JIT configuration"},
		"remote end":   {[]string{"remove", "--token", "AREG"}, "use --local"},
		"as root":      {[]string{"root", "run"}, "Must not run with sudo"},
		"unknown word": {[]string{"run", "--nosuch", "secret"}, "--nosuch"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t)
			if c.args[0] == "root" {
				r.uid, c.args = 0, c.args[1:]
			}
			r.start(c.args...)
			if code := r.wait(); code != exitTerminated {
				t.Errorf("exit code %d", code)
			}
			r.wantPrinted(c.print)
			if strings.Contains(r.printed.String(), "secret") {
				t.Errorf("it repeats a value:\n%s", r.printed)
			}
		})
	}
	f.refuseNext("POST /api/v3/actions/runner-registration", 1, http.StatusConflict, "TaskAgentExistsException")
	r := newRunner(t)
	r.start("configure", "--url", url, "--token", "AREG", "--name", "taken")
	if code := r.wait(); code != exitTerminated {
		t.Errorf("name taken: exit code %d", code)
	}
	r.wantPrinted("A runner exists with the same name taken.")
}

func TestRootMayRunWhereItIsAllowed(t *testing.T) {
	f := newFake(t)
	r := newRunner(t, variableAllowRoot+"=1")
	r.uid = 0
	f.messages <- steps("true")
	r.start("run", "--jitconfig", f.config(true))
	if code := r.wait(); code != 0 || f.resultOf(11) != runnerproto.Succeeded {
		t.Errorf("exit code %d, told %q; printed:\n%s", code, f.resultOf(11), r.printed)
	}
}

func TestWordsThatNeedNoConfiguration(t *testing.T) {
	for arg, want := range map[string]string{"--version": version + "\n", "--commit": commit + "\n", "--help": "Commands:", "--warmup": "", "": "Commands:"} {
		r := newRunner(t)
		r.start(strings.Fields(arg)...)
		if code := r.wait(); code != 0 {
			t.Errorf("%q: exit code %d", arg, code)
		}
		r.wantPrinted(want)
	}
}

func TestRemoveLocalForgetsTheConfiguration(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	if err := r.saveConfig(f.config(false)); err != nil {
		t.Fatal(err)
	}
	r.start("remove", "--local")
	if code := r.wait(); code != 0 || r.configured() {
		t.Errorf("exit code %d, still configured %v", code, r.configured())
	}
}
