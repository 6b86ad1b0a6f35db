package common_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestPolicyIsWrittenForTheHookBeforeTheListenerStarts(t *testing.T) {
	inEveryShell(t, func(t *testing.T, b *sandbox) {
		b.hooked("")
		b.act(`echo "hook ${ACTIONS_RUNNER_HOOK_JOB_STARTED:-}" >"$root/record/hook"`, `cp "$root/run/mayfly-policy" "$root/record/policy"`, runs, succeeded)
		b.deliver("--pool", "ep", "--repository", "NREL/EnergyPlus,NREL/other.io", "--events", "push,pull_request", "--forks", "deny")
		b.untilOff()
		if got := b.result(); got.Outcome != "succeeded" {
			t.Errorf("result %+v", got)
		}
		want := "pool=ep\nrepositories=NREL/EnergyPlus,NREL/other.io\nevents=push,pull_request\nforks=deny\n"
		if got := b.read("record/policy"); got != want {
			t.Errorf("policy %q, want %q", got, want)
		}
		if info, err := os.Stat(b.path("run/mayfly-policy")); err != nil || info.Mode() != 0o644 {
			t.Errorf("policy: %v, %v", info, err)
		}
		if got, want := b.read("record/hook"), "hook "+b.path("opt/actions-runner/job-started.sh")+"\n"; got != want {
			t.Errorf("listener's hook %q, want %q", got, want)
		}
	})
}

func TestWithoutOptionsNothingIsForbidden(t *testing.T) {
	for name, tc := range map[string]struct {
		options      []string
		hook, policy bool
	}{
		"no option":         {nil, true, true},
		"empty ones":        {[]string{"--pool", "", "--repository", "", "--events", "", "--forks", ""}, true, true},
		"image of before":   {nil, false, false},
		"that allows forks": {[]string{"--pool", "ep", "--forks", "allow"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSandbox(t, []string{"/bin/sh"})
			if tc.hook {
				b.hooked("")
			}
			b.act(`echo "${ACTIONS_RUNNER_HOOK_JOB_STARTED:-none}" >"$root/record/hook"`, runs, succeeded)
			b.deliver(tc.options...)
			b.untilOff()
			if got := b.read("run/mayfly-policy"); tc.policy && got != "pool=\nrepositories=\nevents=\nforks=allow\n" || !tc.policy && got != "" {
				t.Errorf("policy %q", got)
			}
			if got := b.read("record/hook"); tc.hook == (got == "none\n") {
				t.Errorf("hook %q", got)
			}
		})
	}
}

func TestPolicyThatCantBeKeptIsRefused(t *testing.T) {
	const own = "A=1\nACTIONS_RUNNER_HOOK_JOB_STARTED=/opt/own.sh\n"
	for name, tc := range map[string]struct {
		breaks func(*sandbox)
		args   []string
		words  string
	}{
		"no hook":             {func(b *sandbox) { b.remove("opt/actions-runner/job-started.sh") }, []string{"--forks", "deny"}, "job-started.sh"},
		"no hook for one":     {func(b *sandbox) { b.remove("opt/actions-runner/job-started.sh") }, []string{"--repository", "a/b"}, "job-started.sh"},
		"no hook for events":  {func(b *sandbox) { b.remove("opt/actions-runner/job-started.sh") }, []string{"--events", "push"}, "job-started.sh"},
		"own hook in .env":    {func(b *sandbox) { b.write("opt/actions-runner/.env", own, 0o644) }, []string{"--forks", "deny"}, ".env"},
		"own hook everywhere": {func(b *sandbox) { b.write("etc/environment", "export "+own[len("A=1\n"):], 0o644) }, []string{"--forks", "deny"}, "etc/environment"},
		"place that can't be written": {func(b *sandbox) {
			if err := os.MkdirAll(b.path("run/mayfly-policy.new"), fs.ModePerm); err != nil {
				b.t.Fatal(err)
			}
		}, []string{"--forks", "deny"}, "mayfly-policy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newSandbox(t, []string{"/bin/sh"})
			b.hooked("")
			tc.breaks(b)
			r := b.call(identity, append(tc.args, "--jit", "ep-0123456789")...)
			if r.code != 4 || r.out != "" || !strings.Contains(r.err, tc.words) {
				t.Errorf("%+v, want 4 and %q", r, tc.words)
			}
			b.wantUntouched()
			if b.exists("run/mayfly-policy") {
				t.Error("it left a policy behind")
			}
		})
	}
}

func TestPolicyOfOddWordsIsABadCall(t *testing.T) {
	for _, args := range [][]string{
		{"--pool", "a b"},
		{"--repository", "EnergyPlus"},
		{"--repository", "NREL/EnergyPlus/x"},
		{"--repository", "/EnergyPlus"},
		{"--repository", "a/b,"},
		{"--repository", "a/b,,c/d"},
		{"--repository", "a/b\nforks=allow"},
		{"--repository", "a/b\n"},
		{"--repository", "a/b c/d"},
		{"--events", "Push"},
		{"--events", "push pull_request"},
		{"--events", "push\nforks=allow"},
		{"--forks", "maybe"},
		{"--forks"},
	} {
		b := newSandbox(t, []string{"/bin/sh"})
		b.hooked("")
		if len(args) > 1 {
			args = append(args, "--jit", "ep-0123456789")
		}
		if r := b.call(identity, args...); r.code != 2 || !strings.Contains(r.err, args[0]) && !strings.Contains(r.err, "pool") {
			t.Errorf("%q: %+v, want 2", args, r)
		}
		b.wantUntouched()
	}
	b := newSandbox(t, []string{"/bin/sh"})
	r := b.call("", "--help")
	for _, option := range []string{"--pool", "--repository", "--events", "--forks"} {
		if !strings.Contains(r.out, option) {
			t.Errorf("help doesn't name %s", option)
		}
	}
}
