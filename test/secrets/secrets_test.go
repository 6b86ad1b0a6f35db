package secrets

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mayfly/internal/sim/pve"
)

type vmState = pve.VMState

// jobs is how many jobs a life serves.
const jobs = 4

func TestAFleetsLifeLeaksNothing(t *testing.T) {
	t.Parallel()
	for i, tc := range []struct {
		name    string
		format  string
		files   bool // the secrets are in files; else in the environment
		trouble func(*life)
		spoiled int    // replies that trouble puts others in the place of
		handoff string // "" is the agent's
		// userData makes the user-data template of the other hand-offs out of the shipped one.
		userData func(string) string
	}{
		{"replies get lost, secrets in the environment", "text", false, (*life).lost, 0, "", nil},
		{"Proxmox and guests repeat what they are sent, secrets in files", "json", true, (*life).proxmoxRepeats, 3, "", nil},
		{"GitHub repeats what it is sent, secrets in files", "text", true, (*life).githubRepeats, 2, "", nil},
		{"identities in user-data, a reply breaks off in one", "json", true, (*life).breaksOff, 1, "snippet", asShipped},
		{"registration tokens in user-data", "text", false, (*life).mintLost, 0, "snippet", withTokens},
		{"identities in images, replies get lost", "text", true, (*life).imagesLost, 0, "iso", asShipped},
		{"registration tokens in images, Proxmox repeats what it is sent", "json", false, (*life).imagesRepeated, 1, "iso", withTokens},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, 101+i, tc.format, tc.handoff)
			tc.trouble(l)
			l.queue(jobs)
			var config []string
			if tc.userData != nil {
				config = []string{"--config", l.config(t, tc.handoff, tc.userData)}
			}
			if tc.files {
				file, env := l.envFile(t)
				l.begin(false, env, append(config, "--env-file", file)...)
			} else {
				l.begin(true, l.settings(l.secrets()...), config...)
			}
			l.until("every job is done and no VM left", l.over)
			l.mustHaveStruck(tc.spoiled)
			l.mustBeClean(l.end(syscall.SIGTERM, placeLog), everywhere()...)
		})
	}
}

func asShipped(shipped string) string { return shipped }

// withTokens leaves the template no place but for a registration token.
func withTokens(shipped string) string { return strings.Replace(shipped, `"${jit_config}"`, `""`, 1) }

// config is a configuration of a hand-off that fills in user-data.
func (l *life) config(t *testing.T, handoff string, userData func(string) string) string {
	t.Helper()
	shipped, err := os.ReadFile("../../runners/ubuntu-2204/cloud-init/runner-user-data.pkrtpl")
	if err != nil {
		t.Fatal(err)
	}
	template := file(t, "user-data", userData(string(shipped)))
	text := fmt.Sprintf("handoff: %s\nuser_data_template: %q\n", handoff, template)
	if l.snippets != "" {
		text += fmt.Sprintf("snippets_dir: %q\n", l.snippets)
	}
	return file(t, "mayfly.yaml", text)
}

// envFile puts the secrets into files, outside of what is searched: there they belong.
func (l *life) envFile(t *testing.T) (path string, env []string) {
	t.Helper()
	var lines strings.Builder
	for _, v := range l.settings("GITHUB_TOKEN_FILE=" + file(t, "github", l.gh.Token+"\n")) {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&lines, "export %s='%s'\n", name, value)
	}
	secret := file(t, "proxmox", l.pve.TokenSecret+"\n")
	return file(t, "dispatcher.env", lines.String()), []string{"PROXMOX_TOKEN_SECRET_FILE=" + secret}
}

// lost makes replies get lost, tasks fail and servers fail.
func (l *life) lost() {
	vm := "/nodes/*/qemu/*"
	l.fault(l.pve.URL, map[string]any{"fault": "reset_after"}, map[string]any{"method": "POST", "path": vm + "/clone"})
	l.fault(l.pve.URL, map[string]any{"fault": "answer_after"}, map[string]any{"method": "POST", "path": vm + "/status/start"})
	l.fault(l.pve.URL, map[string]any{"fault": "reset_after"}, map[string]any{"method": "POST", "path": vm + "/agent/exec", "nth": jobs + 1})
	l.fault(l.pve.URL, map[string]any{"fault": "fail", "reason": "can't lock file '/var/lock/qemu-server/lock-203.conf' - got timeout"}, map[string]any{"task": "qmdestroy"})
	l.fault(l.gh.APIURL, map[string]any{"fault": "500"}, map[string]any{"method": "GET", "path": "/repos/*/*/actions/runners", "nth": 3})
}

// proxmoxRepeats makes Proxmox fail with what it was sent in its message, and a guest print its identity and fail.
func (l *life) proxmoxRepeats() {
	var looks, deliveries counter
	var printing set
	l.toPVE.spoil = func(x *exchange, resp *http.Response) {
		identity := strings.TrimSpace(given(x.body))
		switch {
		case strings.Contains(x.uri, "/cluster/resources") && looks.next() == 2:
			x.replyWith(resp, "500 no ticket for "+x.auth, `{"data":null,"message":"no ticket for `+x.auth+`\n"}`)
		case strings.HasSuffix(x.uri, "/agent/exec") && identity != "":
			switch deliveries.next() {
			case 1:
				x.replyWith(resp, "500 agent refuses "+identity, `{"data":null,"errors":{"input-data":"not `+identity+`"}}`)
			case 3:
				printing.put(machine(x.uri), identity)
			}
		case strings.Contains(x.uri, "/agent/exec-status"):
			if identity := printing.take(machine(x.uri)); identity != "" {
				x.replyWith(resp, "200 OK", `{"data":{"exited":1,"exitcode":4,"err-data":"no listener for `+identity+`\n","out-data":"`+identity+`"}}`)
			}
		}
	}
}

// imagesLost makes replies about images get lost, before and after what was asked for was done.
func (l *life) imagesLost() {
	for path, faults := range map[string][]map[string]any{
		"POST /nodes/*/storage/*/upload":       {{"fault": "reset_after"}, {"fault": "answer", "status": 596}},
		"PUT /nodes/*/qemu/*/config":           {{"fault": "reset_after"}},
		"DELETE /nodes/*/storage/*/content/**": {{"fault": "answer_after", "status": 596}},
	} {
		method, path, _ := strings.Cut(path, " ")
		for i, f := range faults {
			l.fault(l.pve.URL, f, map[string]any{"method": method, "path": path, "nth": i + 2})
		}
	}
}

// imagesRepeated makes Proxmox refuse an upload with the user-data in it.
func (l *life) imagesRepeated() {
	var uploads counter
	l.toPVE.spoil = func(x *exchange, resp *http.Response) {
		if _, image, ok := upload(*x); ok && uploads.next() == 2 {
			at := strings.Index(image, "#cloud-config")
			userData := strings.Join(strings.Fields(image[at:strings.IndexByte(image[at:], 0)+at]), " ")
			x.replyWith(resp, "500 can't store "+userData, `{"data":null,"message":`+strconv.Quote(userData)+`}`)
		}
	}
}

// mintLost makes the reply with a registration token get lost.
func (l *life) mintLost() {
	l.fault(l.gh.APIURL, map[string]any{"fault": "reset_after"}, map[string]any{"method": "POST", "path": "/repos/*/*/actions/runners/registration-token"})
}

// breaksOff makes a reply break off in the middle of an identity.
func (l *life) breaksOff() {
	var mints counter
	l.toGH.spoil = func(x *exchange, resp *http.Response) {
		if strings.HasSuffix(x.uri, "/generate-jitconfig") && mints.next() == 2 {
			x.replyWith(resp, "201 Created", x.reply[:len(x.reply)/2])
		}
	}
}

// githubRepeats makes GitHub fail with the token and an identity in its message.
func (l *life) githubRepeats() {
	var mints, lists counter
	l.toGH.spoil = func(x *exchange, resp *http.Response) {
		switch {
		case strings.HasSuffix(x.uri, "/generate-jitconfig"):
			if mints.next() == 2 {
				x.replyWith(resp, "500 Internal Server Error", `{"message":"`+minted(x.reply)+` is no identity for `+x.auth+`"}`)
			}
		case strings.Contains(x.uri, "/actions/runs") && lists.next() == 4:
			x.replyWith(resp, "502 Bad Gateway", "<html>"+x.auth+"</html>")
		}
	}
}
