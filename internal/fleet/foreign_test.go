package fleet_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"mayfly/internal/sim/runnerproto"
)

// foreign is the name of a runner that somebody else keeps, much like ours.
const foreign = "energyplus-runner-by-hand"

// ask makes a request of GitHub's REST API as somebody with all rights.
func (b *bench) ask(method, path, body string) []byte {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "https://github.example/api/v3/repos/NREL/EnergyPlus"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.gh.Info().Token)
	res, err := b.gh.RoundTripper().RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	reply, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusBadRequest {
		b.t.Fatalf("%s %s: %s %s %v", method, path, res.Status, reply, err)
	}
	return reply
}

// dropRegistration removes a registration behind the controller's back.
func (b *bench) dropRegistration(id int64) {
	b.t.Helper()
	b.ask(http.MethodDelete, fmt.Sprintf("/actions/runners/%d", id), "")
}

// thief brings up somebody else's runner with the labels of our pool, which takes one job that is due and does it. It
// is ready when thief returns. The function that is returned waits for its end.
func (b *bench) thief() (wait func()) {
	b.t.Helper()
	reply := b.ask(http.MethodPost, "/actions/runners/generate-jitconfig",
		fmt.Sprintf(`{"name":%q,"runner_group_id":1,"labels":["self-hosted","linux","x64","energyplus"]}`, foreign))
	var minted struct {
		JIT string `json:"encoded_jit_config"`
	}
	if err := json.Unmarshal(reply, &minted); err != nil {
		b.t.Fatal(err)
	}
	cfg, err := runnerproto.Decode(minted.JIT)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, client := b.t.Context(), runnerproto.NewClient(cfg, b.gh.RoundTripper())
	if err := client.Open(ctx, foreign, "2.329.0"); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			m, err := client.Message(ctx, 0)
			switch {
			case err != nil:
				ended <- err
				return
			case m == nil:
				continue
			}
			if err = client.Start(ctx, m.JobID); err == nil {
				time.Sleep(time.Minute)
				err = client.Complete(ctx, m.JobID, runnerproto.Succeeded)
			}
			ended <- err
			return
		}
	}()
	return func() {
		b.t.Helper()
		if err := <-ended; err != nil {
			b.t.Errorf("the other runner: %v", err)
		}
	}
}

// recorded is a reply that can be given again.
type recorded struct {
	res  http.Response
	body []byte
}

func record(res *http.Response) (*recorded, error) {
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return &recorded{*res, body}, err
}

func (r *recorded) response(req *http.Request) *http.Response {
	res := r.res
	res.Header, res.Body, res.Request = r.res.Header.Clone(), io.NopCloser(bytes.NewReader(r.body)), req
	return &res
}
