package secrets

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly/test/process"
)

// life is a dispatcher's, between the stand-ins, and what is seen of it.
type life struct {
	*standIns
	evidence
	run *heard
	// dir is all that the process may write to: home, work and tmp are in it.
	dir    string
	format string // of the log
	// snippets is the folder for user-data, "" where there is none; given is what was seen in it, where an identity belongs
	// for as long as its VM starts.
	snippets string
	given    evidence

	watching sync.WaitGroup
	stop     chan struct{}
}

// newLife is one of a hand-off: "" is the agent's.
func newLife(t *testing.T, seed int, format, handoff string) *life {
	t.Helper()
	l := &life{dir: t.TempDir(), format: format, stop: make(chan struct{})}
	var flags []string
	for _, d := range []string{"home", "work", "tmp", "snippets"} {
		if err := os.Mkdir(filepath.Join(l.dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	switch handoff {
	case "snippet":
		l.snippets = filepath.Join(l.dir, "snippets")
		flags = []string{"--cloud-init-drive", "--snippets-dir", l.snippets}
	case "iso":
		flags = []string{"--cloud-init-drive", "--uploads"}
	}
	l.standIns = newStandIns(t, seed, flags...)
	return l
}

// settings are a dispatcher's variables but its secrets.
func (l *life) settings(more ...string) []string {
	return append([]string{
		"PROXMOX_URL=https://" + l.toPVE.address(), "PROXMOX_FINGERPRINT=" + l.fingerprint, "PROXMOX_NODE=" + l.pve.Node,
		"PROXMOX_TOKEN_ID=" + l.pve.TokenID, "PROXMOX_POOL=" + l.pve.ResourcePool, "GITHUB_API_URL=http://" + l.toGH.address(),
		"REPO_URL=https://github.com/" + l.gh.Repository, "POLL_INTERVAL=1", "MAX_TOTAL_RUNNERS=4",
	}, more...)
}

// secrets are its secrets, as variables.
func (l *life) secrets() []string {
	return []string{"PROXMOX_TOKEN_SECRET=" + l.pve.TokenSecret, "GITHUB_TOKEN=" + l.gh.Token}
}

// begin starts the dispatcher, and watches what can only be seen while it lives. own says that its environment holds what
// the user put there.
func (l *life) begin(own bool, env []string, args ...string) {
	l.t.Helper()
	env = process.Environment(append(env, "HOME="+filepath.Join(l.dir, "home"), "TMPDIR="+filepath.Join(l.dir, "tmp"))...)
	args = append([]string{"run", "--listen", "127.0.0.1:0", "--log-level", "debug", "--log-format", l.format}, args...)
	l.run = launch(l.t, filepath.Join(l.dir, "work"), "", env, process.Program(), args...)
	except := 0
	if own {
		except = l.run.PID()
	}
	l.watching.Go(func() { l.watch(except) })
	l.t.Cleanup(l.unwatch)
}

// serves finds the address of /healthz in the log, whatever its format.
var serves = regexp.MustCompile(`"?listen"?[=:]"?(127\.0\.0\.1:\d+)`)

func (l *life) watch(except int) {
	web := &http.Client{Timeout: 5 * time.Second}
	defer web.CloseIdleConnections()
	base := ""
	for {
		l.processes(except)
		if m := serves.FindStringSubmatch(l.run.out.String()); base == "" && m != nil {
			base = "http://" + m[1]
		}
		if base != "" {
			l.health(web, base)
		}
		l.configs(l.standIns)
		l.userData()
		select {
		case <-l.stop:
			return
		case <-time.After(glance):
		}
	}
}

// userData reads the snippets that there are.
func (l *life) userData() {
	if l.snippets == "" {
		return
	}
	files, _ := filepath.Glob(filepath.Join(l.snippets, "*"))
	for _, f := range files {
		if body, err := os.ReadFile(f); err == nil { // else it has gone meanwhile
			l.given.add("user-data", f, string(body))
		}
	}
}

func (l *life) unwatch() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.watching.Wait()
}

// until waits until it is so.
func (l *life) until(what string, ok func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(glance) {
		if !l.run.Alive() || time.Now().After(deadline) {
			l.t.Fatalf("waited for: %s; %s\n%s", what, l.run.Name, tail(l.run.out.String()))
		}
	}
}

// over reports whether every job is done and no VM of ours is left.
func (l *life) over() bool {
	for _, j := range l.githubState().Jobs {
		if j.Status != "completed" {
			return false
		}
	}
	return !slices.ContainsFunc(l.proxmoxState().VMs, func(vm vmState) bool { return vm.CreatedBy == l.pve.TokenID && vm.DestroyedAt == nil })
}

// end ends the dispatcher and gathers what there is to search.
func (l *life) end(sig syscall.Signal, place string) []text {
	l.t.Helper()
	l.unwatch()
	l.run.End(sig)
	l.add(place, l.run.Name, l.run.out.String())
	l.tasks(l.standIns)
	l.requests(l.standIns)
	l.files(l.t, l.dir)
	return l.all()
}

// mustBeClean searches everything for everything. Places that hold nothing at all would make the search a sham.
func (l *life) mustBeClean(texts []text, places ...string) {
	l.t.Helper()
	needles := l.known()
	identities, _ := l.minted()
	for _, n := range identities {
		needles = append(needles, n...)
	}
	report(l.t, texts, places, len(identities), len(needles))
	mustBeClean(l.t, texts, needles)
	l.mustBeFound(identities)
}

func mustBeClean(t *testing.T, texts []text, needles []needle) {
	t.Helper()
	leaks := search(texts, needles)
	told := map[string]bool{}
	for _, k := range leaks {
		if key := k.place + k.text.name + k.secret; !told[key] {
			told[key] = true
			t.Errorf("leak: %s", k)
		}
	}
}

// mustBeFound searches where secrets have to be: a search that misses them there would miss them anywhere.
func (l *life) mustBeFound(identities [][]needle) {
	l.t.Helper()
	var auth []text
	taken := l.given.all()
	for _, x := range append(l.toPVE.exchanges(), l.toGH.exchanges()...) {
		auth = append(auth, text{"Authorization", x.uri, x.auth})
		if strings.HasSuffix(x.uri, "/agent/exec") {
			taken = append(taken, text{stdin, x.uri, given(x.body)})
		}
		if _, image, uploaded := upload(x); uploaded {
			taken = append(taken, text{"uploaded image", x.uri, image})
		}
	}
	for _, secret := range []string{"Proxmox token secret", "GitHub token"} {
		if !slices.ContainsFunc(search(auth, l.known()), func(k leak) bool { return k.secret == secret }) {
			l.t.Errorf("the search doesn't find the %s in Authorization headers, where it is", secret)
		}
	}
	found := 0
	for _, n := range identities {
		if len(search(taken, n)) > 0 {
			found++
		}
	}
	if found == 0 {
		l.t.Errorf("the search finds none of %d identities in what the guests were given, where they are", len(identities))
	}
}

// report tells what is searched.
func report(t *testing.T, texts []text, places []string, identities, needles int) {
	t.Helper()
	count, size := map[string]int{}, map[string]int{}
	for _, x := range texts {
		count[x.place]++
		size[x.place] += len(x.body)
	}
	var b strings.Builder
	for _, p := range places {
		fmt.Fprintf(&b, "%-28s %6d texts %10d bytes\n", p, count[p], size[p])
		if size[p] == 0 {
			t.Errorf("%s: nothing to search", p)
		}
	}
	t.Logf("%d identities, %d needles, searched for in\n%s", identities, needles, b.String())
}

// everywhere are the places of a life.
func everywhere() []string {
	return []string{placeLog, placeArgs, placeEnviron, placeConfigs, placeAsked, placeTasks, placeFiles, placeHealth, placePaths}
}

// tail is the end of a log, without its debug lines.
func tail(log string) string {
	var said []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "DEBUG") {
			said = append(said, line)
		}
	}
	const most = 60
	return strings.Join(said[max(0, len(said)-most):], "")
}
