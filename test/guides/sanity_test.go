package guides

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// node and template are the names that the guide's test uses.
const node = "pve1"

// TestSanityTestWorksWithTheGuidesToken runs the section's commands one after the other, as a user of the guide would, with
// the permissions that the guide has given until then.
func TestSanityTestWorksWithTheGuidesToken(t *testing.T) {
	text := guide(t, setupGuide)
	_, section, ok := strings.Cut(text, "\n## 7 ")
	if !ok {
		t.Fatal("no section 7")
	}
	section, _, _ = strings.Cut(section, "\n## 8 ")
	var calls [][]string
	for _, c := range commands(section) {
		if w := words(c); w[0] == "pve" {
			calls = append(calls, w[1:])
		}
	}
	if len(calls) < 10 {
		t.Fatalf("%d commands in section 7, want 10", len(calls))
	}
	synctest.Test(t, func(t *testing.T) {
		server, s := cluster(t)
		if !slices.Contains(s.tokens, "mayfly@pve!dispatcher") {
			t.Fatalf("tokens %v, want the dispatcher's", s.tokens)
		}
		pid := ""
		for _, c := range calls {
			c = slices.Clone(c)
			for i := range c {
				c[i] = strings.NewReplacer("$PROXMOX_NODE", node, "THE-PID", pid).Replace(c[i])
			}
			reply := call(t, server.RoundTripper(), server.Info().URL, c)
			var exec struct {
				Data struct{ PID json.Number }
			}
			if json.Unmarshal([]byte(reply), &exec) == nil && exec.Data.PID != "" {
				pid = exec.Data.PID.String()
			}
			time.Sleep(30 * time.Second) // what a person takes for the next
		}
		for _, vm := range server.State().VMs {
			if vm.VMID == 8999 && (vm.Status != "destroyed" || vm.Pool != "ci") {
				t.Errorf("VM 8999 is %s in resource pool %q, want it destroyed", vm.Status, vm.Pool)
			}
		}
		for _, task := range server.State().Tasks {
			if strings.Contains(task.UPID, "mayfly@pve") && task.ExitStatus != "OK" {
				t.Errorf("task %s ended with %q", task.UPID, task.ExitStatus)
			}
		}
	})
}

// call is the guide's `pve` function: METHOD PATH and curl's -d.
func call(t *testing.T, through http.RoundTripper, base string, args []string) string {
	t.Helper()
	form := url.Values{}
	for i := 2; i+1 < len(args); i += 2 {
		if args[i] != "-d" {
			t.Fatalf("%v: %s isn't known to this test", args, args[i])
		}
		key, value, _ := strings.Cut(args[i+1], "=")
		form.Add(key, value)
	}
	var body io.Reader = http.NoBody
	if len(form) > 0 {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), args[0], base+"/api2/json"+args[1], body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken=mayfly@pve!dispatcher="+secretOf("mayfly@pve!dispatcher"))
	if len(form) > 0 {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := http.Client{Transport: through}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v: %s %s %v", args, resp.Status, reply, err)
	}
	return string(reply)
}
