package guides

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

const byHandGuide = "docs/manual-test.md"

// byHand plays somebody who types the commands of the page, one each half minute.
type byHand struct {
	t       *testing.T
	proxmox *pve.Server
	github  *gh.Server
	base    string
	pid     string
}

// TestARunnerByHandDoesOneJob types the page's commands, once with the registration token and once with the identity, between
// the two stand-ins: the job of the page's workflow must run on that runner, and nothing may be left.
func TestARunnerByHandDoesOneJob(t *testing.T) {
	text := guide(t, byHandGuide)
	lines := commands(text)
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "pve ") }); i < 0 {
		t.Fatalf("no commands in %s", byHandGuide)
	}
	var workflow struct {
		Jobs map[string]struct {
			RunsOn []string `yaml:"runs-on"`
		}
	}
	if err := yaml.Unmarshal([]byte(yamlPieces(text)[0]), &workflow); err != nil || len(workflow.Jobs) != 1 {
		t.Fatalf("%s: its workflow has jobs %v: %v", byHandGuide, workflow.Jobs, err)
	}
	for way, other := range map[string]string{"registration-token": "generate-jitconfig", "generate-jitconfig": "registration-token"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := readSetup(t, guide(t, setupGuide), "9")
				github := gh.New(gh.Options{})
				guests := world.NewGuests(world.GuestOptions{Transport: github.RoundTripper()})
				p := &byHand{t: t, github: github, proxmox: pve.New(guideOptions(s, guests))}
				p.base = p.proxmox.Info().URL
				t.Cleanup(func() {
					p.proxmox.Close()
					guests.Close()
					github.Close()
				})
				delivered := false
				for _, line := range lines {
					switch w := words(line); {
					case strings.Contains(line, other), strings.Contains(line, "THE-PID") && p.pid == "": // of the other way
					case w[0] == "gh" && w[1] == "workflow":
						for _, job := range workflow.Jobs {
							github.AddJobs(gh.JobSpec{Labels: job.RunsOn, Duration: time.Minute})
						}
					case w[0] == "pve", strings.Contains(line, "| pve "):
						p.pipe(line)
						delivered = delivered || strings.Contains(line, way)
					}
					time.Sleep(30 * time.Second)
				}
				p.verify(delivered)
			})
		})
	}
}

// pipe runs `gh api … | tr -d '\n' | pve …`, or the last part alone.
func (p *byHand) pipe(line string) {
	parts := strings.Split(line, " | ")
	input := ""
	if len(parts) > 1 {
		input = strings.TrimSpace(p.gh(words(parts[0])))
	}
	args := words(parts[len(parts)-1])[1:]
	for i := range args {
		args[i] = strings.NewReplacer("$PROXMOX_NODE", node, "THE-PID", p.pid).Replace(args[i])
		if args[i] == "--data-urlencode" {
			args[i], args[i+1] = "-d", strings.Replace(args[i+1], "@-", "="+input, 1)
		}
	}
	reply := call(p.t, p.proxmox.RoundTripper(), p.base, args)
	var exec struct {
		Data struct {
			PID      json.Number
			ExitCode *int
			OutData  string `json:"out-data"`
			ErrData  string `json:"err-data"`
		}
	}
	if json.Unmarshal([]byte(reply), &exec) != nil {
		return
	}
	if exec.Data.PID != "" {
		p.pid = exec.Data.PID.String()
	}
	if code := exec.Data.ExitCode; code != nil && *code != 0 {
		p.t.Errorf("%s: exit code %d: %s%s", line, *code, exec.Data.OutData, exec.Data.ErrData)
	}
}

// gh is `gh api -X POST PATH -f KEY=STRING -F KEY=NUMBER --jq .FIELD`.
func (p *byHand) gh(w []string) string {
	var path, field string
	body := map[string]any{}
	for i := 2; i < len(w); i++ {
		switch w[i] {
		case "-X":
			i++
		case "--jq":
			i++
			field = strings.TrimPrefix(w[i], ".")
		case "-f", "-F":
			key, value, _ := strings.Cut(w[i+1], "=")
			switch list, isList := strings.CutSuffix(key, "[]"); {
			case isList:
				had, _ := body[list].([]string)
				body[list] = append(had, value)
			case w[i] == "-F":
				body[key] = json.Number(value)
			default:
				body[key] = value
			}
			i++
		default:
			path = w[i]
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "https://api.github.com/"+path, bytes.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.github.Info().Token)
	resp, err := p.github.RoundTripper().RoundTrip(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var reply map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil || resp.StatusCode != http.StatusCreated {
		p.t.Fatalf("%v: %s %v %v", w, resp.Status, reply, err)
	}
	value, _ := reply[field].(string)
	if value == "" {
		p.t.Fatalf("%v: no %s in %v", w, field, reply)
	}
	return value
}

func (p *byHand) verify(delivered bool) {
	jobs := p.github.State().Jobs
	if !delivered || len(jobs) != 1 {
		p.t.Fatalf("delivered: %t, %d jobs, want one", delivered, len(jobs))
	}
	if j := jobs[0]; j.Conclusion != "success" || !strings.HasPrefix(j.RunnerName, "by-hand-") {
		p.t.Errorf("the job is %s (%s) on %q", j.Status, j.Conclusion, j.RunnerName)
	}
	for _, r := range p.github.State().Runners {
		if r.RemovedAt.IsZero() {
			p.t.Errorf("the registration of %s is left", r.Name)
		}
	}
	for _, vm := range p.proxmox.State().VMs {
		if vm.VMID == 8998 && vm.Status != "destroyed" {
			p.t.Errorf("VM 8998 is %s, want it destroyed", vm.Status)
		}
	}
}
