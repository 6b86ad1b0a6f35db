//go:build bench

package startup

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/test/page"
	"mayfly/test/process"
)

// Marks around what the benchmark writes in the page.
const (
	begin = "<!-- make bench-startup writes from here -->\n"
	end   = "<!-- make bench-startup writes to here -->\n"
)

const (
	// rounds is how often each is measured, in turn.
	rounds = 40
	// goal is what a start may take.
	goal = 300 * time.Millisecond
	// glance is how often /readyz is asked.
	glance = 500 * time.Microsecond
	// patience ends what hangs.
	patience = 30 * time.Second
)

func TestMain(m *testing.M) { os.Exit(process.Main(m, 0)) }

// TestStart measures rounds of both commands, in turn, and writes the page.
func TestStart(t *testing.T) {
	log := &process.Journal{}
	var p pve.Info
	var g gh.Info
	process.StandIn(t, log, &p, "pve", "--listen", "127.0.0.1:0")
	process.StandIn(t, log, &g, "gh", "--listen", "127.0.0.1:0")
	env := process.Environment(
		"PROXMOX_URL="+p.URL, "PROXMOX_FINGERPRINT="+p.Fingerprint, "PROXMOX_NODE="+p.Node, "PROXMOX_POOL="+p.ResourcePool,
		"PROXMOX_TOKEN_ID="+p.TokenID, "PROXMOX_TOKEN_SECRET="+p.TokenSecret, "GITHUB_API_URL="+g.APIURL, "GITHUB_TOKEN="+g.Token,
	)
	// Once for the caches of this machine: nobody starts a program that was never read from its disk twice.
	version(t, env)
	observed(t, env)
	var versions, starts []time.Duration
	for range rounds {
		versions = append(versions, version(t, env))
		starts = append(starts, observed(t, env))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s on %s, %d processors, load average %.2f after it. %d rounds, milliseconds from `exec`.\n\n",
		time.Now().UTC().Format("2006-01-02"), page.Model(), runtime.NumCPU(), page.Load(t), rounds)
	b.WriteString("| what | median | least to most |\n|---|--:|--:|\n")
	row := func(what string, all []time.Duration) {
		slices.Sort(all)
		fmt.Fprintf(&b, "| %s | %.0f | %.0f to %.0f |\n", what, ms(all[len(all)/2]), ms(all[0]), ms(all[len(all)-1]))
	}
	row("`mayfly version`, to its end", versions)
	row("`mayfly run`, until `/readyz` says yes", starts)
	verdict := "kept"
	if starts[len(starts)/2] > goal {
		verdict = "missed"
	}
	fmt.Fprintf(&b, "\nThe goal, %d ms, is %s. The program has %.1f MB as `make release` links it; a release is refused from 30 MB on.\n",
		goal.Milliseconds(), verdict, float64(releaseSize(t))/1e6)
	t.Log("\n" + b.String())
	page.Write(t, begin, end, b.String())
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// version is how long `mayfly version` takes.
func version(t *testing.T, env []string) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, process.Program(), "version")
	cmd.Env = env
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mayfly version: %v: %s", err, out)
	}
	return time.Since(began)
}

// listens is what `mayfly run` says at its start.
var listens = regexp.MustCompile(`msg="mayfly starts".* listen=(\S+)`)

// observed is how long `mayfly run` takes until it has looked at both sides and would serve.
func observed(t *testing.T, env []string) time.Duration {
	t.Helper()
	r, w := io.Pipe()
	began := time.Now()
	p := process.Start(t, process.Options{Env: env, Stdout: w, Stderr: w}, process.Program(), "run", "--listen", "127.0.0.1:0")
	lines := bufio.NewScanner(r)
	var said []string
	address := ""
	for address == "" && lines.Scan() {
		said = append(said, lines.Text())
		if m := listens.FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
		}
	}
	if address == "" {
		t.Fatalf("mayfly run doesn't listen: %s", strings.Join(said, "\n"))
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // ends with w, below
	for time.Since(began) < patience {
		if ready(t, "http://"+address+"/readyz") {
			took := time.Since(began)
			p.End(syscall.SIGKILL)
			_ = w.Close()
			return took
		}
		time.Sleep(glance)
	}
	t.Fatalf("not ready within %s", patience)
	return 0
}

func ready(t *testing.T, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// releaseSize is the size of the program as releases have it.
func releaseSize(t *testing.T) int64 {
	t.Helper()
	out := filepath.Join(t.TempDir(), "mayfly")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", out, "mayfly/cmd/mayfly")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build mayfly: %v: %s", err, text)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
