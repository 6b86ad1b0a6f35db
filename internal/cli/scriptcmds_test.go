package cli_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// patience is when a script that waits has waited for ever.
const patience = 60 * time.Second

// eventually tries until it works.
func eventually(ts *testscript.TestScript, what string, try func() error) {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	ts.Fatalf("%s: %v", what, err)
}

// firstLine: `firstline PREFIX FILE` waits for the first line in a file and puts each field of its JSON into a variable,
// $PREFIX_field.
func firstLine(ts *testscript.TestScript, _ bool, args []string) {
	prefix, file := args[0], ts.MkAbs(args[1])
	eventually(ts, "first line of "+args[1], func() error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		line, _, whole := strings.Cut(string(text), "\n")
		if !whole {
			return errors.New("no line yet")
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			ts.Fatalf("first line of %s: %v: %s", args[1], err, line)
		}
		for name, value := range fields {
			ts.Setenv(prefix+"_"+name, fmt.Sprint(value))
		}
		return nil
	})
}

// until: `until FILE REGEXP [VARIABLE]` waits until a line of a file matches, and keeps its first group.
func until(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[1])
	eventually(ts, args[0]+" with "+args[1], func() error {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err != nil {
			return err
		}
		found := want.FindStringSubmatch(string(text))
		if found == nil {
			return fmt.Errorf("not in:\n%s", text)
		}
		if len(args) > 2 {
			ts.Setenv(args[2], found[1])
		}
		return nil
	})
}

// request sends one and returns status and body. Certificates of stand-ins aren't checked here: the commands do that.
func request(method, address, token, body string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

func read[T any](ts *testscript.TestScript, server string) T {
	var v T
	status, text, err := request(http.MethodGet, server+"/_sim/state", "", "")
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(text, &v)
	}
	if err != nil || status != http.StatusOK {
		ts.Fatalf("state of %s: %d: %v", server, status, err)
	}
	return v
}

// queue: `queue N LABEL…` queues jobs at $gh_api_url; with $job_seconds each lasts so long.
func queue(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	spec := map[string]any{"count": n, "labels": args[1:], "steps": []string{"echo hello"}}
	if text := ts.Getenv("job_seconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		ts.Check(err)
		spec["duration_ms"] = seconds * 1000
	}
	body, err := json.Marshal(spec)
	ts.Check(err)
	status, text, err := request(http.MethodPost, ts.Getenv("gh_api_url")+"/_sim/jobs", "", string(body))
	if err != nil || status >= 300 {
		ts.Fatalf("queue jobs: %d %s: %v", status, text, err)
	}
}

// done: `done N` waits until N jobs are completed and every runner is gone at both sides.
func done(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	eventually(ts, args[0]+" jobs done", func() error {
		completed := 0
		state := read[gh.State](ts, ts.Getenv("gh_api_url"))
		for _, j := range state.Jobs {
			if j.Status == "completed" {
				completed++
			}
		}
		left := 0
		for _, r := range state.Runners {
			if r.RemovedAt.IsZero() {
				left++
			}
		}
		vms := 0
		for _, v := range ours(read[pve.State](ts, ts.Getenv("pve_url"))) {
			if v.DestroyedAt == nil {
				vms++
			}
		}
		if completed < n || left > 0 || vms > 0 {
			return fmt.Errorf("%d jobs completed, %d registrations and %d VMs left", completed, left, vms)
		}
		return nil
	})
}

// ours are the VMs that somebody cloned.
func ours(s pve.State) []pve.VMState {
	return slices.DeleteFunc(slices.Clone(s.VMs), func(v pve.VMState) bool { return v.Decoy != "" || v.Source == 0 })
}

// served: `served N MOST [EXCEPT]` checks the stand-ins' records: N successful jobs, each in a VM of its own, never more
// than MOST VMs at once, nobody else's touched but EXCEPT.
func served(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	state := read[pve.State](ts, ts.Getenv("pve_url"))
	vms := map[string]int{}
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, v := range ours(state) {
		vms[v.Name]++
		changes = append(changes, change{v.CreatedAt, 1})
		if v.DestroyedAt != nil {
			changes = append(changes, change{*v.DestroyedAt, -1})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), a.by-b.by) })
	alive := 0
	for _, c := range changes {
		if alive += c.by; alive > most {
			ts.Fatalf("%d VMs at once at %s, want at most %d", alive, c.at, most)
		}
	}
	foreign := 0
	for _, v := range state.VMs {
		if v.Decoy == "" && v.Source != 0 {
			continue
		}
		foreign++
		if len(args) > 2 && args[2] == strconv.Itoa(v.VMID) {
			continue
		}
		if v.DigestNow != v.DigestStart || v.DigestStart == "" {
			ts.Fatalf("VM %d (%s) was touched", v.VMID, v.Decoy)
		}
	}
	if foreign < 13 {
		ts.Fatalf("%d decoys and templates, want the 12 and one", foreign)
	}
	good := 0
	for _, j := range read[gh.State](ts, ts.Getenv("gh_api_url")).Jobs {
		if j.Conclusion != "success" || j.Starts != 1 {
			continue
		}
		good++
		if vms[j.RunnerName] != 1 {
			ts.Fatalf("job %s ran on %q, which is the name of %d VMs", j.Name, j.RunnerName, vms[j.RunnerName])
		}
		delete(vms, j.RunnerName)
	}
	if good != n {
		ts.Fatalf("%d jobs succeeded, want %d", good, n)
	}
}

// get: `get URL STATUS REGEXP` asks until the answer is so.
func get(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	want := regexp.MustCompile(args[2])
	eventually(ts, "GET "+args[0], func() error {
		got, text, err := request(http.MethodGet, args[0], "", "")
		if err != nil {
			return err
		}
		if got != status || !want.Match(text) {
			return fmt.Errorf("%d:\n%s", got, text)
		}
		return nil
	})
}

// admin: `admin METHOD PATH` calls the Proxmox stand-in as its administrator, prints the data of its reply, and waits for the task
// that it begins.
func admin(ts *testscript.TestScript, _ bool, args []string) {
	api := ts.Getenv("pve_url") + "/api2/json"
	token := "PVEAPIToken=" + ts.Getenv("pve_admin_token_id") + "=" + ts.Getenv("pve_admin_token_secret")
	call := func(method, path string, into any) {
		status, text, err := request(method, api+path, token, "")
		if err != nil || status != http.StatusOK {
			ts.Fatalf("%s %s: %d %s: %v", method, path, status, text, err)
		}
		ts.Check(json.Unmarshal(text, into))
	}
	var reply struct{ Data any }
	call(args[0], args[1], &reply)
	ts.Check(json.NewEncoder(ts.Stdout()).Encode(reply.Data))
	upid, _ := reply.Data.(string)
	if !strings.HasPrefix(upid, "UPID:") {
		return
	}
	node := strings.Split(upid, ":")[1]
	eventually(ts, "task "+upid, func() error {
		var task struct {
			Data struct{ Status, ExitStatus string }
		}
		call(http.MethodGet, "/nodes/"+node+"/tasks/"+url.PathEscape(upid)+"/status", &task)
		switch {
		case task.Data.Status == "running":
			return errors.New("still running")
		case task.Data.ExitStatus != "OK":
			ts.Fatalf("task %s: %s", upid, task.Data.ExitStatus)
		}
		return nil
	})
}

// fault: `fault URL JSON` arms a fault of a stand-in, `fault URL` removes all.
func fault(ts *testscript.TestScript, _ bool, args []string) {
	method, body := http.MethodDelete, ""
	if len(args) > 1 {
		method, body = http.MethodPost, args[1]
	}
	status, text, err := request(method, args[0]+"/_sim/faults", "", body)
	if err != nil || status >= 300 {
		ts.Fatalf("fault %s: %d %s: %v", body, status, bytes.TrimSpace(text), err)
	}
}

// sigterm: `sigterm FILE` sends SIGTERM to the process whose id is in a file.
func sigterm(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGTERM))
}

// oneLine: `oneline` checks that the last command said what it had to say in one line.
func oneLine(ts *testscript.TestScript, _ bool, _ []string) {
	if text := ts.ReadFile("stderr"); strings.Count(text, "\n") != 1 {
		ts.Fatalf("want one line, got:\n%s", text)
	}
}

// summary: `summary NAME=NUMBER…` checks the last line of the last command's output.
func summary(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			ts.Fatalf("not JSON: %s", l)
		}
	}
	var got map[string]any
	ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &got))
	for _, a := range args {
		name, want, _ := strings.Cut(a, "=")
		if fmt.Sprint(got[name]) != want {
			ts.Fatalf("%s is %v, want %s, in %s", name, got[name], want, lines[len(lines)-1])
		}
	}
	times, _ := got["queue_to_start_ms"].(map[string]any)
	for _, name := range []string{"p50", "p95", "max"} {
		if n, ok := times[name].(float64); !ok || n <= 0 {
			ts.Fatalf("queue_to_start_ms.%s is %v", name, times[name])
		}
	}
}
