//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve/qemu"
)

// repository is the stand-in's first.
const repository = "NREL/EnergyPlus"

// newGitHub starts a stand-in on a loopback port of the system's choice. Registrations name the address under which
// guests reach it from where they are.
func newGitHub(t *testing.T) (server *gh.Server, address string) {
	t.Helper()
	return newGitHubThat(t, gh.Options{})
}

// newGitHubThat is one with options of its own.
func newGitHubThat(t *testing.T, o gh.Options) (server *gh.Server, address string) {
	t.Helper()
	o.RunnerURL = qemu.GuestGitHubURL
	return serveGitHub(t, o)
}

// serveGitHub starts a stand-in; without a RunnerURL runners reach it where we do.
func serveGitHub(t *testing.T, o gh.Options) (server *gh.Server, address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Seed, o.Repository = 7, repository
	server = gh.New(o)
	server.SetAPIURL("http://" + l.Addr().String()) // Serve says it too, but later
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return server, l.Addr().String()
}

// post asks the REST API of the stand-in to make something, as a dispatcher would.
func post(t *testing.T, server *gh.Server, path string, body, into any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	reply := send(t, server, http.MethodPost, path, text, http.StatusCreated)
	if err := json.Unmarshal(reply, into); err != nil {
		t.Fatal(err)
	}
}

// send makes a request and gives what came back.
func send(t *testing.T, server *gh.Server, method, path string, body []byte, want int) []byte {
	t.Helper()
	info := server.Info()
	req, err := http.NewRequestWithContext(t.Context(), method, info.APIURL+"/repos/"+repository+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+info.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s: %s, %v, want %d", method, path, resp.Status, err, want)
	}
	return reply
}

// jitConfig makes a registration and gives its id and encoded configuration.
func jitConfig(t *testing.T, server *gh.Server, name string) (id int64, config string) {
	t.Helper()
	var made struct {
		Runner struct{ ID int64 }
		Config string `json:"encoded_jit_config"`
	}
	post(t, server, "/actions/runners/generate-jitconfig", map[string]any{
		"name": name, "runner_group_id": 1, "labels": []string{"self-hosted"}, "work_folder": "_work",
	}, &made)
	return made.Runner.ID, made.Config
}

// registrationToken gives a token for config.sh.
func registrationToken(t *testing.T, server *gh.Server) string {
	t.Helper()
	var made struct {
		Token string `json:"token"`
	}
	post(t, server, "/actions/runners/registration-token", struct{}{}, &made)
	return made.Token
}

// jobIs waits for a job to have that status and gives it.
func jobIs(t *testing.T, m *machines, vmid int, server *gh.Server, status string) gh.JobState {
	t.Helper()
	var job gh.JobState
	m.until(vmid, "job "+status, func() bool {
		job = server.State().Jobs[0]
		return job.Status == status
	})
	return job
}
