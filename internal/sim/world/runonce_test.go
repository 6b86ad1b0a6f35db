package world

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"mayfly/internal/github"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

const script = "/opt/actions-runner/run-once.sh"

var target = runner.Target{Owner: "NREL", Repo: "EnergyPlus"}

// client is the dispatcher's.
func (r *room) client() *github.Client {
	r.t.Helper()
	c, err := github.New(github.Options{
		BaseURL: "https://github.example/api/v3", Token: runner.NewSecret(r.gh.Info().Token), Transport: r.gh.RoundTripper(), Pace: -1,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// mint makes an identity as the dispatcher does.
func (r *room) mint(name string) string {
	r.t.Helper()
	id, err := r.client().CreateJITConfig(r.t.Context(), target, name, []string{"self-hosted", "linux"}, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	return id.JITConfig.Reveal()
}

func (r *room) probe(vmid int) map[string]any {
	r.t.Helper()
	f := r.run(vmid, "", script, "--probe")
	var m map[string]any
	if err := json.Unmarshal(f.OutData, &m); err != nil || f.Code != 0 {
		r.t.Fatalf("probe: %+v, %v", f, err)
	}
	return m
}

// TestRunOnceKeepsItsContract goes through docs/run-once.md's exit codes.
func TestRunOnceKeepsItsContract(t *testing.T) {
	image := func(without string) map[string]string {
		files := Image()
		delete(files, without)
		return files
	}
	for _, tc := range []struct {
		name  string
		image map[string]string
		stdin string
		args  []string
		code  int
		words string
	}{
		{name: "version", args: []string{"--version"}, words: "run-once 2 (contract 2)"},
		{name: "help", args: []string{"--help"}, words: "--jit NAME"},
		{name: "nothing", code: 2},
		{name: "unknown option", args: []string{"--dance"}, code: 2, words: "--dance"},
		{name: "no name", args: []string{"--jit"}, code: 2},
		{name: "bad name", stdin: "x", args: []string{"--jit", "a/b"}, code: 2, words: "a/b"},
		{name: "no identity", args: []string{"--jit", "ep-0123456789"}, code: 2, words: "standard input"},
		{name: "bad seconds", stdin: "x", args: []string{"--linger", "soon", "--jit", "ep-0123456789"}, code: 2, words: "soon"},
		{name: "older call as root", args: []string{"https://github.com/NREL/EnergyPlus", "token", "linux", "name"}, code: 2, words: "root"},
		{name: "no listener", image: image(listenerPath), stdin: "x", args: []string{"--jit", "ep-0123456789"}, code: 4, words: "Runner.Listener"},
		{name: "no such user", stdin: "x", args: []string{"--user", "nobody", "--jit", "ep-0123456789"}, code: 4, words: "nobody"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inRoom(t, GuestOptions{Image: tc.image}, func(r *room) {
				r.boot(201)
				f := r.run(201, tc.stdin, script, tc.args...)
				if f.Code != tc.code || !strings.Contains(string(f.OutData)+string(f.ErrData), tc.words) {
					t.Errorf("%+v, want code %d and %q", f, tc.code, tc.words)
				}
				if state := r.probe(201)["state"]; state != "ready" {
					t.Errorf("state %v: a refused call must change nothing", state)
				}
			})
		})
	}
}

func TestIdentityIsTakenOnceRunsOneJobAndPowersOff(t *testing.T) {
	inRoom(t, GuestOptions{}, func(r *room) {
		r.boot(201)
		const name = "ep-0123456789"
		jit := r.mint(name)
		for range 2 { // the second delivery of the same identity changes nothing
			if f := r.run(201, jit+"\n", script, "--user", "runner", "--jit", name); f.Code != 0 {
				t.Fatalf("delivery: %+v", f)
			}
		}
		if f := r.run(201, r.mint("ep-other00000"), script, "--jit", "ep-other00000"); f.Code != 3 {
			t.Errorf("another identity: %+v, want 3", f)
		}
		if p := r.probe(201); p["state"] != "delivered" || p["runner"] != name || p["job_started"] != false {
			t.Errorf("probe %v", p)
		}
		ids := r.gh.AddJobs(gh.JobSpec{Labels: []string{"linux"}, Duration: 5 * time.Minute, Steps: []gh.StepSpec{
			{Run: "echo I am $RUNNER_NAME > out.txt\ncat out.txt"},
		}})
		time.Sleep(time.Minute)
		if p := r.probe(201); p["job_started"] != true {
			t.Errorf("probe in the job: %v", p)
		}
		if _, err := r.ReadFile(201, "/run/mayfly/identity"); err == nil {
			t.Error("the identity must be gone when the job has started")
		}
		time.Sleep(4*time.Minute + 5*time.Second)
		text, err := r.ReadFile(201, "/run/mayfly/result.json")
		var result runner.Result
		if err != nil || json.Unmarshal([]byte(text), &result) != nil || result.Outcome != "succeeded" || !result.JobStarted || result.Runner != name {
			t.Errorf("result %s, %v", text, err)
		}
		if p := r.probe(201); p["state"] != "done" {
			t.Errorf("probe after the job: %v", p)
		}
		r.powersOff(201, time.Minute)
		for _, j := range r.gh.Jobs() {
			if j.ID == ids[0] && (j.Conclusion != "success" || !strings.Contains(j.Log, "I am "+name)) {
				t.Errorf("job %+v", j)
			}
		}
		if left := r.gh.Runners()[0]; left.RemovedAt.IsZero() {
			t.Error("an ephemeral registration must go with its job")
		}
	})
}

func TestOutcomesAreThoseOfTheContract(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options GuestOptions
		job     gh.JobSpec
		cancel  bool
		remove  bool
		jit     string
		outcome string
		code    int
	}{
		{name: "step fails", job: gh.JobSpec{Steps: []gh.StepSpec{{Run: "false\necho never > /tmp/x"}}}, outcome: "failed"},
		{name: "cancelled", job: gh.JobSpec{Duration: time.Hour}, cancel: true, outcome: "cancelled"},
		{name: "removed while idle", remove: true, outcome: "no_job"},
		{name: "no configuration", jit: "bm9uc2Vuc2U=", outcome: "infrastructure", code: 1},
		{
			name: "never reaches GitHub", options: GuestOptions{Behave: func(pve.Machine) Behaviour { return NeverRegisters }},
			outcome: "no_job", // by --max-wait
		},
		{name: "version refused", options: GuestOptions{RunnerVersion: "2.100.0"}, outcome: "deprecated", code: 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inRoomWith(t, gh.Options{OldestRunner: "2.329.0"}, tc.options, func(r *room) {
				r.boot(201)
				jit := tc.jit
				if jit == "" {
					jit = r.mint("ep-0123456789")
				}
				if f := r.run(201, jit, script, "--linger", "60", "--max-wait", "120", "--jit", "ep-0123456789"); f.Code != 0 {
					t.Fatalf("delivery: %+v", f)
				}
				var ids []int64
				if tc.job.Steps != nil || tc.job.Duration > 0 {
					tc.job.Labels = []string{"linux"}
					ids = r.gh.AddJobs(tc.job)
				}
				time.Sleep(10 * time.Second)
				if tc.cancel && !r.gh.CancelJob(ids[0]) {
					t.Error("no job to cancel")
				}
				if tc.remove {
					r.remove(r.gh.Runners()[0].ID)
				}
				var result runner.Result
				for range 300 {
					time.Sleep(time.Second)
					if text, err := r.ReadFile(201, "/run/mayfly/result.json"); err == nil {
						if err := json.Unmarshal([]byte(text), &result); err != nil {
							t.Fatal(err)
						}
						break
					}
				}
				if result.Outcome != tc.outcome || result.ExitCode != tc.code {
					t.Errorf("result %+v, want outcome %s and code %d", result, tc.outcome, tc.code)
				}
				r.powersOff(201, 2*time.Minute)
			})
		})
	}
}

// remove deregisters a runner as the dispatcher does.
func (r *room) remove(id int64) {
	r.t.Helper()
	if err := r.client().RemoveRunner(r.t.Context(), target, id); err != nil {
		r.t.Fatal(err)
	}
}

func TestRegistrationTokenRegistersTheRunnerInTheGuest(t *testing.T) {
	inRoom(t, GuestOptions{}, func(r *room) {
		r.boot(201)
		token, err := r.client().CreateRegistrationToken(r.t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		r.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "gpu"}, Duration: time.Minute})
		f := r.run(201, token.Token.Reveal()+"\n", script, "--token", "http://github.example/NREL/EnergyPlus", "linux,gpu", "ep-0123456789")
		if f.Code != 0 {
			t.Fatalf("delivery: %+v", f)
		}
		r.powersOff(201, 5*time.Minute)
		if j := r.gh.Jobs()[0]; j.Conclusion != "success" || j.RunnerName != "ep-0123456789" {
			t.Errorf("job %+v", j)
		}
	})
}
