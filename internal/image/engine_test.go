package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kdomanski/iso9660"

	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// engine is machines of two kinds: one that boots with a seed plays the provisioning scripts, any other is a runner when
// its disk was provisioned. It works in virtual time.
type engine struct {
	behave func(m pve.Machine, seeded bool) behaviour
	full   error // what an import fails with
	// scripts is how long they take in machines that start from now on.
	scripts time.Duration

	mu    sync.Mutex
	disks map[int]string // "vendor", or the runner's version once it is provisioned
	on    map[int]*guest
	seeds []map[string]string // the files of each seed that was booted with
	wg    sync.WaitGroup
}

// behaviour is what goes wrong in a guest; the zero value is nothing.
type behaviour struct {
	// exit is what the scripts end with.
	exit int
	// noAgent: it never answers. hang: the scripts never end. off: it powers off at boot. wrong: the runner's version.
	noAgent, hang, off bool
	wrong              string
}

const (
	bootTime, agentTime, lingerTime = 20 * time.Second, time.Minute, 20 * time.Second
	sampleVersion                   = "2.330.0"
)

// guest is a machine that runs.
type guest struct {
	behaviour
	seeded  bool
	scripts time.Duration // how long they take here
	began   time.Time
	power   context.CancelFunc
	gone    chan struct{}
	disk    string
}

func newEngine() *engine {
	return &engine{disks: map[int]string{}, on: map[int]*guest{}, scripts: 4 * time.Minute, behave: func(pve.Machine, bool) behaviour { return behaviour{} }}
}

func (e *engine) Import(_ context.Context, vmid int, _ string, _ pve.Image) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.full != nil {
		return e.full
	}
	e.disks[vmid] = "vendor"
	return nil
}

func (e *engine) Resize(context.Context, int, string, runner.Bytes) error { return nil }

func (e *engine) Clone(_ context.Context, template, vmid int, _ bool, _ func(string)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disks[vmid] = e.disks[template]
	return nil
}

func (e *engine) Start(_ context.Context, m pve.Machine) error {
	files, err := readSeed(m.Media[seedSlot])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	g := &guest{behaviour: e.behave(m, files != nil), seeded: files != nil, scripts: e.scripts, began: time.Now(), power: cancel, gone: make(chan struct{}), disk: e.disks[m.VMID]}
	e.on[m.VMID] = g
	if files != nil {
		e.seeds = append(e.seeds, files)
	}
	e.wg.Go(func() {
		defer close(g.gone)
		defer cancel()
		if e.live(ctx, m.VMID, g) {
			m.Exited()
		}
	})
	return nil
}

// live is a machine's life; it tells whether the machine powered off by itself.
func (e *engine) live(ctx context.Context, vmid int, g *guest) bool {
	life := time.Duration(1<<62 - 1)
	switch {
	case g.off:
		life = bootTime
	case g.seeded && !g.hang:
		life = g.scripts + lingerTime
	}
	off := pause(ctx, life)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.on, vmid)
	if off && g.seeded && g.exit == 0 && !g.off {
		e.disks[vmid] = sampleVersion
	}
	return off
}

func (e *engine) Stop(_ context.Context, vmid int) error {
	e.mu.Lock()
	g := e.on[vmid]
	e.mu.Unlock()
	if g != nil {
		g.power()
		<-g.gone
	}
	return nil
}

func (e *engine) Shutdown(ctx context.Context, vmid int) error { return e.Stop(ctx, vmid) }

func (e *engine) Destroy(ctx context.Context, vmid int) error {
	_ = e.Stop(ctx, vmid)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.disks, vmid)
	return nil
}

// Agent plays the guest agent: the files that build.sh writes, and run-once.sh --probe.
func (e *engine) Agent(ctx context.Context, vmid int, execute string, arguments json.RawMessage) (json.RawMessage, error) {
	e.mu.Lock()
	g := e.on[vmid]
	e.mu.Unlock()
	up := bootTime
	if g != nil && g.seeded {
		up = agentTime
	}
	if g == nil || g.noAgent || time.Since(g.began) < up {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var in struct {
		Path   string
		Handle int
	}
	_ = json.Unmarshal(arguments, &in)
	file := map[string]int{progressFile: 1, resultFile: 2}[in.Path]
	ended := g.seeded && !g.hang && time.Since(g.began) >= g.scripts
	switch {
	case execute == "guest-ping":
		return json.RawMessage(`{}`), nil
	case execute == "guest-file-open" && (file == 1 && g.seeded || file == 2 && ended):
		return json.Marshal(file)
	case execute == "guest-file-read":
		text := "==> installs packages\nE: no such package\n"
		if in.Handle == 2 {
			text = fmt.Sprintf("{\"exit_code\":%d}\n", g.exit)
		}
		return json.Marshal(map[string]any{"count": len(text), "buf-b64": []byte(text), "eof": true})
	case execute == "guest-file-close":
		return json.RawMessage(`{}`), nil
	case execute == "guest-exec" && g.disk != "vendor" && g.disk != "":
		return json.RawMessage(`{"pid":7}`), nil
	case execute == "guest-exec-status":
		version := g.disk
		if g.wrong != "" {
			version = g.wrong
		}
		text := fmt.Sprintf(`{"contract":2,"state":"ready","runner":"","runner_version":%q,"image":"x","job_started":false}`, version)
		return json.Marshal(map[string]any{"exited": true, "exitcode": 0, "out-data": []byte(text)})
	}
	return nil, &pve.AgentError{Class: "GenericError", Desc: "failed to open file '" + in.Path + "' (mode: 'r'): No such file or directory"}
}

// close cuts the power of all machines.
func (e *engine) close() {
	e.mu.Lock()
	for _, g := range e.on {
		g.power()
	}
	e.mu.Unlock()
	e.wg.Wait()
}

// readSeed gives the files of a NoCloud medium; nil for none.
func readSeed(medium []byte) (map[string]string, error) {
	if len(medium) == 0 {
		return nil, nil
	}
	im, err := iso9660.OpenImage(bytes.NewReader(medium))
	if err != nil {
		return nil, err
	}
	root, err := im.RootDir()
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	return files, walk(root, "", files)
}

func walk(f *iso9660.File, path string, into map[string]string) error {
	if !f.IsDir() {
		text, err := io.ReadAll(f.Reader())
		into[strings.TrimPrefix(path, "/")] = string(text)
		return err
	}
	children, err := f.GetChildren()
	for _, c := range children {
		if err == nil {
			err = walk(c, path+"/"+c.Name(), into)
		}
	}
	return err
}
