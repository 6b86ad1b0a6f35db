package runner_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly/internal/runner"
)

func TestSecretNeverShows(t *testing.T) {
	const value = "ghp_0123456789abcdefghij"
	s := runner.NewSecret(value)
	var shown strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&shown, verb+"\n", s)
		fmt.Fprintf(&shown, verb+"\n", struct{ Token runner.Secret }{s})
		fmt.Fprintf(&shown, verb+"\n", &s)
	}
	js, err := json.Marshal(map[string]any{"token": s, "in": struct{ S runner.Secret }{s}})
	if err != nil {
		t.Fatal(err)
	}
	shown.Write(js)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", s, "struct", struct{ S runner.Secret }{s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", s, "struct", struct{ S runner.Secret }{s})
	shown.Write(log.Bytes())
	fmt.Fprint(&shown, fmt.Errorf("with %v", s))
	for name, form := range map[string]string{
		"raw": value, "hex": fmt.Sprintf("%x", value), "base64": base64.StdEncoding.EncodeToString([]byte(value)),
	} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("the secret shows as %s in:\n%s", name, shown.String())
		}
	}
	if !strings.Contains(string(js), `"token":"***"`) {
		t.Errorf("JSON %s, want ***", js)
	}
	if s.Reveal() != value {
		t.Error("Reveal gave another value")
	}
	if (runner.Secret{}).String() != "" || !(runner.Secret{}).IsZero() {
		t.Error("no secret must show as nothing")
	}
}

func TestPoolServesJobsWhoseLabelsItHas(t *testing.T) {
	target := runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
	pool := runner.Pool{Target: target, Labels: []string{"energyplus", "linux", "X64"}}
	for _, tc := range []struct {
		labels    []string
		unlabeled bool
		want      bool
	}{
		{[]string{"self-hosted", "linux"}, false, true},
		{[]string{"Self-Hosted", "LINUX", "x64", "EnergyPlus"}, false, true},
		{[]string{"linux", "gpu"}, false, false},
		{nil, false, false},
		{nil, true, true},
		{[]string{"gpu"}, true, false},
	} {
		pool.AcceptUnlabeled = tc.unlabeled
		if got := pool.Serves(runner.Job{Target: target, Labels: tc.labels}); got != tc.want {
			t.Errorf("serves %q (accept unlabeled %v): %v, want %v", tc.labels, tc.unlabeled, got, tc.want)
		}
	}
	if pool.Serves(runner.Job{Target: runner.Target{Owner: "NREL", Repo: "Other"}, Labels: []string{"linux"}}) {
		t.Error("serves another repository")
	}
	want := []string{"self-hosted", "energyplus", "linux", "X64"}
	if diff := cmp.Diff(want, pool.RegistrationLabels()); diff != "" {
		t.Errorf("registration labels (-want +got):\n%s", diff)
	}
	pool.Labels = []string{"SELF-hosted", "linux", "Linux"}
	if diff := cmp.Diff([]string{"self-hosted", "linux"}, pool.RegistrationLabels()); diff != "" {
		t.Errorf("repeated registration labels (-want +got):\n%s", diff)
	}
}

func TestOnlyQueuedJobsWithoutRunnerWait(t *testing.T) {
	for _, tc := range []struct {
		job  runner.Job
		want bool
	}{
		{runner.Job{Status: runner.JobQueued}, true},
		{runner.Job{Status: "waiting"}, false},
		{runner.Job{Status: "pending"}, false},
		{runner.Job{Status: "requested"}, false},
		{runner.Job{Status: runner.JobInProgress}, false},
		{runner.Job{Status: runner.JobQueued, RunnerID: 7}, false},
		{runner.Job{Status: runner.JobQueued, RunnerName: "x"}, false},
	} {
		if got := tc.job.Waiting(); got != tc.want {
			t.Errorf("%+v waits: %v, want %v", tc.job, got, tc.want)
		}
	}
}

func TestNamesAreValidAndNeverRepeat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringMatching(`[A-Za-z0-9]([A-Za-z0-9-]{0,50}[A-Za-z0-9])?`).Draw(t, "prefix")
		if err := runner.CheckPrefix(prefix); err != nil {
			t.Fatal(err)
		}
		a, b := runner.NewName(prefix), runner.NewName(prefix)
		if a == b {
			t.Fatalf("name %s was made twice", a)
		}
		if !runner.IsName(a) || len(a) > 63 || !strings.HasPrefix(a, prefix+"-") {
			t.Fatalf("name %q isn't one", a)
		}
	})
	for _, bad := range []string{"", "-a", "a-", "a_b", "a.b", "ä", strings.Repeat("a", runner.MaxPrefix+1)} {
		if runner.CheckPrefix(bad) == nil {
			t.Errorf("prefix %q is accepted", bad)
		}
	}
}

func TestMarkerComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := runner.Marker{
			Installation: rapid.StringMatching(`[a-z0-9_][a-z0-9_.-]{0,30}`).Draw(t, "installation"),
			Runner:       runner.NewName("ep"),
			VMID:         rapid.IntRange(100, 999_999_999).Draw(t, "vmid"),
			Pool:         rapid.String().Draw(t, "pool"),
			Created:      time.Unix(rapid.Int64Range(1, 4e9).Draw(t, "created"), 0).UTC(),
			Version:      rapid.String().Draw(t, "version"),
			Ends:         rapid.Bool().Draw(t, "ends"),
		}
		if rapid.Bool().Draw(t, "it tells its process") {
			m.Process = runner.NewProcess(time.UnixMilli(rapid.Int64Range(1e12, 4e12).Draw(t, "started")))
		}
		text := m.Description()
		// Proxmox gives descriptions back with a newline more or less.
		for _, form := range []string{text, strings.TrimSpace(text), text + "\n"} {
			got, err := runner.ParseMarker(form)
			if err != nil {
				t.Fatalf("parse %q: %v", form, err)
			}
			m.Pool, m.Version = strings.ToValidUTF8(m.Pool, "\ufffd"), strings.ToValidUTF8(m.Version, "\ufffd")
			if diff := cmp.Diff(m, got); diff != "" {
				t.Fatalf("marker (-want +got):\n%s", diff)
			}
		}
	})
}

func TestNoMarkerIsNotABadMarker(t *testing.T) {
	if _, err := runner.ParseMarker("just a note"); !errors.Is(err, runner.ErrNoMarker) {
		t.Errorf("error %v, want ErrNoMarker", err)
	}
	for _, bad := range []string{
		"mayfly-marker:", "mayfly-marker:{}", "mayfly-marker:nonsense",
		`mayfly-marker:{"installation":"A B","runner":"ep-0123456789","vmid":200,"created":"2026-11-24T12:00:00Z"}`,
		`mayfly-marker:{"installation":"a","runner":"ep","vmid":200,"created":"2026-11-24T12:00:00Z"}`,
		`mayfly-marker:{"installation":"a","runner":"ep-0123456789","vmid":0,"created":"2026-11-24T12:00:00Z"}`,
		`mayfly-marker:{"installation":"a","runner":"ep-0123456789","vmid":200}`,
		`mayfly-marker:{"installation":"a","runner":"ep-0123456789","vmid":200,"created":"2026-11-24T12:00:00Z","process":{"id":"a b","started":"2026-11-24T12:00:00Z"}}`,
		`mayfly-marker:{"installation":"a","runner":"ep-0123456789","vmid":200,"created":"2026-11-24T12:00:00Z","process":{"id":"ab"}}`,
	} {
		if m, err := runner.ParseMarker(bad); err == nil || errors.Is(err, runner.ErrNoMarker) {
			t.Errorf("parse %q: %+v, %v, want an error that isn't ErrNoMarker", bad, m, err)
		}
	}
}

// TestAnOlderMarkerTellsNoProcess: those of before Mayfly noted it are still markers.
func TestAnOlderMarkerTellsNoProcess(t *testing.T) {
	m, err := runner.ParseMarker(`mayfly-marker:{"installation":"a","runner":"ep-0123456789","vmid":200,"created":"2026-11-24T12:00:00Z"}`)
	if err != nil || !m.Process.IsZero() {
		t.Errorf("process %+v, error %v", m.Process, err)
	}
	if text := m.Description(); strings.Contains(text, "process") {
		t.Errorf("nothing is known of its process, but its marker says %q", text)
	}
}

func TestOneOfTwoProcessesIsTheEarlier(t *testing.T) {
	began := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	first, second, other := runner.NewProcess(began), runner.NewProcess(began.Add(time.Millisecond)), runner.NewProcess(began)
	if first.Compare(second) >= 0 || second.Compare(first) <= 0 {
		t.Error("the one that began first isn't the earlier")
	}
	if first.Compare(other) == 0 || first.Compare(other) != -other.Compare(first) {
		t.Errorf("%v and %v, begun at the same moment, don't agree who is the earlier", first, other)
	}
	if (runner.Process{}).Compare(first) >= 0 {
		t.Error("a process that says nothing isn't the earliest")
	}
}

func FuzzParseMarker(f *testing.F) {
	f.Add(runner.Marker{Installation: "a", Runner: "ep-0123456789", VMID: 200, Pool: "p", Created: time.Unix(1, 0)}.Description())
	f.Add("mayfly-marker:{}")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := runner.ParseMarker(text)
		if err != nil {
			return
		}
		if again, err := runner.ParseMarker(m.Description()); err != nil || again.VMID != m.VMID || again.Runner != m.Runner {
			t.Errorf("marker %+v does not come back: %+v, %v", m, again, err)
		}
	})
}

func TestTargetForm(t *testing.T) {
	for s, ok := range map[string]bool{
		"NREL/EnergyPlus": true, "a/b.c_d-e": true, "NREL": false, "": false, "a/b/c": false, "a/..": false, "a b/c": false, "/x": false,
	} {
		got, err := runner.ParseTarget(s)
		if (err == nil) != ok {
			t.Errorf("ParseTarget(%q) = %v, %v, want ok %v", s, got, err, ok)
		}
		if ok && got.String() != s {
			t.Errorf("target %q prints as %q", s, got)
		}
	}
}

func TestBytesForPeople(t *testing.T) {
	for b, want := range map[runner.Bytes]string{
		0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 8 * runner.GiB: "8.0 GiB", 2252341248: "2.1 GiB", 300 * runner.MiB: "300.0 MiB",
	} {
		if b.String() != want {
			t.Errorf("%d bytes print as %q, want %q", int64(b), b, want)
		}
	}
}
