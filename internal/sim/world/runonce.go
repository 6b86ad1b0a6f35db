package world

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mayfly/internal/runner"
	"mayfly/internal/sim/runnerproto"
)

// Exit codes of run-once.sh (docs/run-once.md).
const (
	onceOK    = 0
	onceUsage = 2
	onceTaken = 3
	onceImage = 4
)

// Defaults and limits of run-once.sh.
const (
	onceMaxWait    = 24 * time.Hour
	onceMaxLife    = 6 * 24 * time.Hour
	onceRetryDelay = 5 * time.Second
	onceMaxStarts  = 10
)

// once is what run-once.sh knows of its one delivery.
type once struct {
	mu         sync.Mutex
	sum, name  string
	jobStarted bool
	done       bool
}

// delivery is one call of run-once.sh that brings an identity.
type delivery struct {
	user                     string
	linger, maxWait, maxLife time.Duration
	name                     string
	token                    bool // a registration token for url and labels, not a JIT configuration
	url                      string
	labels                   []string
	secret                   string
	policy                   policy
}

// runOnce is run-once.sh as root, which is what the guest agent is.
func (m *machine) runOnce(args []string, stdin string) outcome {
	d := delivery{user: "runner", linger: m.g.opts.Linger, maxWait: onceMaxWait, maxLife: onceMaxLife}
	for len(args) > 0 {
		var value string
		option, rest := args[0], args[1:]
		switch option {
		case "--user", "--linger", "--max-wait", "--max-life", "--pool", "--repository", "--events", "--forks":
			if len(rest) == 0 {
				return complain(onceUsage, option+" needs a value")
			}
			value, args = rest[0], rest[1:]
			if slices.Contains([]string{"--pool", "--repository", "--events", "--forks"}, option) {
				if m.g.opts.Contract < newestContract {
					return complain(onceUsage, "unknown option "+option)
				}
				if !d.policy.set(option, value) {
					return complain(onceUsage, option+" doesn't take "+value)
				}
				continue
			}
			if option == "--user" {
				d.user = value
				continue
			}
			seconds, err := strconv.Atoi(value)
			if err != nil || seconds < 0 {
				return complain(onceUsage, option+" wants seconds, not "+value)
			}
			*map[string]*time.Duration{"--linger": &d.linger, "--max-wait": &d.maxWait, "--max-life": &d.maxLife}[option] = time.Duration(seconds) * time.Second
			continue
		case "--version":
			return outcome{out: fmt.Sprintf("run-once %[1]d (contract %[1]d)\n", m.g.opts.Contract)}
		case "--help":
			return outcome{out: "usage: run-once.sh [OPTION…] --jit NAME | --token URL LABELS NAME | URL TOKEN LABELS NAME | --probe | --version | --help\n"}
		case "--probe":
			return m.probe()
		case "--jit":
			if len(rest) != 1 {
				return complain(onceUsage, "--jit wants a name")
			}
			d.name = rest[0]
			return m.deliver(d, stdin)
		case "--token":
			if len(rest) != 3 {
				return complain(onceUsage, "--token wants URL, LABELS and NAME")
			}
			d.token, d.url, d.labels, d.name = true, rest[0], strings.Split(rest[1], ","), rest[2]
			return m.deliver(d, stdin)
		}
		if strings.HasPrefix(option, "-") {
			return complain(onceUsage, "unknown option "+option)
		}
		return complain(onceUsage, "the older call is for the runner's user, not for root")
	}
	return complain(onceUsage, "usage: run-once.sh --jit NAME | --token URL LABELS NAME | --probe | --version | --help")
}

func complain(code int, words string) outcome {
	return outcome{code: code, err: "run-once.sh: " + words + "\n"}
}

// probe is --probe: one line of JSON.
func (m *machine) probe() outcome {
	m.once.mu.Lock()
	defer m.once.mu.Unlock()
	state := "ready"
	switch {
	case m.once.done:
		state = "done"
	case m.once.sum != "":
		state = "delivered"
	}
	image, _ := m.disk.read(imagePath)
	line, err := json.Marshal(struct {
		Contract      int    `json:"contract"`
		State         string `json:"state"`
		Runner        string `json:"runner"`
		RunnerVersion string `json:"runner_version"`
		Image         string `json:"image"`
		JobStarted    bool   `json:"job_started"`
		Route         bool   `json:"route"`
		DNS           bool   `json:"dns"`
		Listener      bool   `json:"listener"`
	}{m.g.opts.Contract, state, m.once.name, m.g.opts.VersionOf(m.Machine), strings.TrimSpace(image), m.once.jobStarted, true, true, true})
	if err != nil {
		return complain(1, err.Error())
	}
	return outcome{out: string(line) + "\n"}
}

// deliver takes the identity, hands the listener over and returns. The same identity again changes nothing.
func (m *machine) deliver(d delivery, stdin string) outcome {
	d.secret = strings.TrimSpace(stdin)
	switch {
	case !runner.IsName(d.name) && !plainName(d.name):
		return complain(onceUsage, "not a runner name: "+d.name)
	case d.secret == "":
		return complain(onceUsage, "no identity on standard input")
	case m.behaviour == Unfit || !m.disk.exists(listenerPath):
		return complain(onceImage, "no "+listenerPath)
	case !m.hasUser(d.user):
		return complain(onceImage, "no user "+d.user)
	case d.policy.restricts() && !m.disk.exists(hookPath):
		return complain(onceImage, "no "+hookPath+" that would keep the policy")
	}
	digest := sha256.Sum256([]byte(d.secret))
	sum := hex.EncodeToString(digest[:])
	m.once.mu.Lock()
	defer m.once.mu.Unlock()
	switch m.once.sum {
	case "":
	case sum:
		return outcome{}
	default:
		return complain(onceTaken, "this machine has another identity already")
	}
	m.once.sum, m.once.name = sum, d.name
	m.disk.mkdir(stateDir)
	m.disk.write(identityPath, d.secret+"\n", false)
	m.wg.Go(func() { m.serve(d) })
	return outcome{}
}

// plainName is what run-once.sh accepts: GitHub's letters, no path and no option.
func plainName(s string) bool {
	return s != "" && len(s) <= 64 && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}

func (m *machine) hasUser(name string) bool {
	passwd, _ := m.disk.read("/etc/passwd")
	return strings.HasPrefix(passwd, name+":") || strings.Contains(passwd, "\n"+name+":")
}

// serve is the unit that runs the listener: then the result, then the linger, then the power-off.
func (m *machine) serve(d delivery) {
	ctx, cancel := context.WithTimeout(m.ctx, d.maxLife)
	defer cancel()
	began := time.Now()
	code, end := m.listenAgain(ctx, d)
	m.disk.remove(identityPath)
	if m.ctx.Err() != nil {
		return // the power went
	}
	m.once.mu.Lock()
	m.once.done = true
	started := m.once.jobStarted
	m.once.mu.Unlock()
	result, err := json.Marshal(runner.Result{
		Runner: d.name, ExitCode: code, Outcome: ended(code, end, started), JobStarted: started,
		StartedAt: began.UTC().Truncate(time.Second), FinishedAt: time.Now().UTC().Truncate(time.Second),
	})
	if err == nil {
		m.disk.write(resultPath, string(result)+"\n", false)
	}
	m.log.Debug("listener ended", "code", code, "result", string(end))
	if sleep(m.ctx, d.linger) {
		m.pressButton()
	}
}

// ended is the outcome of docs/run-once.md.
func ended(code int, end runnerproto.Result, started bool) string {
	switch {
	case end != "":
		return string(end)
	case code == exitDeprecated:
		return "deprecated"
	case code == exitOK && !started:
		return "no_job"
	}
	return "infrastructure"
}

// listenAgain runs the listener, again where it asks for that and no job has started.
func (m *machine) listenAgain(ctx context.Context, d delivery) (int, runnerproto.Result) {
	jit := d.secret
	if d.token {
		var err error
		if jit, err = m.register(ctx, d); err != nil {
			return exitTerminated, ""
		}
	}
	cfg, err := runnerproto.Decode(jit)
	if err != nil {
		return exitTerminated, ""
	}
	for start := 1; ; start++ {
		l := &listening{m: m, cfg: cfg, client: runnerproto.NewClient(cfg, m.transport()), maxWait: d.maxWait, policy: d.policy}
		code, end := l.run(ctx)
		again := code == exitRetryable || code == exitUpdating || code == exitRunOnceUpdating
		if !again || m.jobStarted() || start == onceMaxStarts || !sleep(ctx, onceRetryDelay) {
			return code, end
		}
	}
}

func (m *machine) register(ctx context.Context, d delivery) (string, error) {
	jit, err := runnerproto.Register(ctx, m.transport(), d.secret, runnerproto.RegisterRequest{
		URL: d.url, Name: d.name, Labels: d.labels, Ephemeral: true, DisableUpdate: true, WorkFolder: "_work",
	})
	if err != nil {
		return "", fmt.Errorf("configure runner %s: %w", d.name, err)
	}
	return jit, nil
}

func (m *machine) transport() http.RoundTripper { return m.g.transport }

func (m *machine) jobStarted() bool {
	m.once.mu.Lock()
	defer m.once.mu.Unlock()
	return m.once.jobStarted
}
