package pve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"
)

// blankEngine are machines without guests: they run until stopped, power off when asked to, and their agent answers
// ping, a few harmless commands and files that live as long as the machine's disk.
type blankEngine struct {
	players
	mu       sync.Mutex
	machines map[int]*blankMachine
}

type blankMachine struct {
	on      *Machine // nil when off
	files   map[string][]byte
	handles map[int]*blankFile
	exited  map[int]blankExit // by pid, until asked for
	last    int               // the last pid or handle

	guest   *Guest        // what runs in it; nil for nothing
	end     func()        // ends its context
	silent  chan struct{} // while its agent doesn't answer; closed when that changes
	program Program
}

type blankFile struct {
	path    string
	written bool
	data    []byte
	at      int
}

type blankExit struct {
	code        int
	out, errOut string
}

func newBlankEngine() Engine { return &blankEngine{machines: map[int]*blankMachine{}} }

// newPlayedEngine is a blank engine whose machines, where they were made of an image, have guests.
func newPlayedEngine(p players) Engine {
	return &blankEngine{players: p, machines: map[int]*blankMachine{}}
}

func (e *blankEngine) machine(vmid int) *blankMachine {
	m := e.machines[vmid]
	if m == nil {
		m = &blankMachine{files: map[string][]byte{}}
		e.machines[vmid] = m
	}
	return m
}

func (e *blankEngine) Clone(ctx context.Context, template, vmid int, _ bool, _ func(string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.copyDisk(template, vmid)
	return nil
}

func (e *blankEngine) Start(ctx context.Context, m Machine) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.machine(m.VMID)
	b.on, b.handles, b.exited, b.last = &m, map[int]*blankFile{}, map[int]blankExit{}, 700
	if e.guest != nil && m.Image != "" {
		e.play(m, b)
	}
	return nil
}

func (e *blankEngine) Stop(_ context.Context, vmid int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.machine(vmid).turnOff()
	return nil
}

func (e *blankEngine) Shutdown(_ context.Context, vmid int) error {
	e.mu.Lock()
	b := e.machine(vmid)
	m := b.on
	b.turnOff()
	e.mu.Unlock()
	if m != nil {
		m.Exited()
	}
	return nil
}

func (e *blankEngine) Destroy(_ context.Context, vmid int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.machines, vmid)
	return nil
}

func (e *blankEngine) Agent(ctx context.Context, vmid int, execute string, arguments json.RawMessage) (json.RawMessage, error) {
	if execute == "guest-shutdown" {
		return nil, e.Shutdown(ctx, vmid)
	}
	b, up := e.waitForAgent(ctx, vmid)
	if !up {
		e.mu.Unlock()
		return nil, ctx.Err()
	}
	if execute == "guest-exec" && b.program != nil {
		e.mu.Unlock()
		return e.runProgram(b, arguments)
	}
	reply, err := b.agent(execute, arguments)
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(reply)
	if err != nil {
		return nil, fmt.Errorf("agent command %s: %w", execute, err)
	}
	return raw, nil
}

// agentError is a refusal of the usual class.
func agentError(format string, args ...any) *AgentError {
	return &AgentError{Class: "GenericError", Desc: fmt.Sprintf(format, args...)}
}

// blankArgs are the arguments of every command that takes some.
type blankArgs struct {
	Path   string   `json:"path"`
	Mode   string   `json:"mode"`
	Handle int      `json:"handle"`
	Count  int      `json:"count"`
	Offset int      `json:"offset"`
	PID    int      `json:"pid"`
	Arg    []string `json:"arg"`
	Data   []byte   `json:"buf-b64"`
	Input  []byte   `json:"input-data"`
}

func (b *blankMachine) agent(execute string, arguments json.RawMessage) (any, error) {
	var a blankArgs
	if len(arguments) > 0 {
		if err := json.Unmarshal(arguments, &a); err != nil {
			return nil, agentError("Invalid parameter: %s", err)
		}
	}
	switch execute {
	case "guest-ping", "guest-fsfreeze-freeze", "guest-fsfreeze-thaw":
		return struct{}{}, nil
	case "guest-fsfreeze-status":
		return "thawed", nil
	case "guest-exec":
		return b.exec(a)
	case "guest-exec-status":
		return b.execStatus(a.PID)
	case "guest-file-open":
		return b.open(a)
	case "guest-file-read", "guest-file-write", "guest-file-seek", "guest-file-close":
		return b.file(execute, a)
	case "guest-get-time":
		return time.Now().UnixNano(), nil
	case "guest-get-host-name":
		return map[string]any{"host-name": b.on.Name}, nil
	case "guest-get-timezone":
		return map[string]any{"zone": "UTC", "offset": 0}, nil
	case "guest-get-osinfo":
		return map[string]any{
			"id": "blank", "name": "Blank machine", "pretty-name": "Blank machine 1", "version-id": "1", "machine": "x86_64",
			"kernel-release": "6.1.0", "kernel-version": "#1 SMP PREEMPT_DYNAMIC",
		}, nil
	case "guest-get-users", "guest-get-fsinfo", "guest-get-memory-blocks":
		return []any{}, nil
	case "guest-get-memory-block-info":
		return map[string]any{"size": 128 << 20}, nil
	case "guest-get-vcpus":
		cpus := []any{}
		for i := range b.on.Cores {
			cpus = append(cpus, map[string]any{"logical-id": i, "online": true, "can-offline": i > 0})
		}
		return cpus, nil
	case "guest-fstrim":
		return map[string]any{"paths": []any{}}, nil
	case "guest-network-get-interfaces":
		nics := []any{map[string]any{"name": "lo", "hardware-address": "00:00:00:00:00:00"}}
		if b.on.MAC != "" {
			nics = append(nics, map[string]any{"name": "eth0", "hardware-address": strings.ToLower(b.on.MAC)})
		}
		return nics, nil
	case "guest-info":
		return map[string]any{"version": "10.0.13", "supported_commands": []any{
			map[string]any{"name": "guest-ping", "enabled": true, "success-response": true},
			map[string]any{"name": "guest-exec", "enabled": true, "success-response": true},
		}}, nil
	}
	return nil, &AgentError{Class: "CommandNotFound", Desc: "The command " + execute + " has not been found"}
}

// exec runs the few programs that a blank machine has.
func (b *blankMachine) exec(a blankArgs) (any, error) {
	exit := blankExit{}
	switch path.Base(a.Path) {
	case "true":
	case "false":
		exit.code = 1
	case "echo":
		exit.out = strings.Join(a.Arg, " ") + "\n"
	case "cat":
		exit.out = string(a.Input)
		for _, f := range a.Arg {
			data, ok := b.files[f]
			if !ok {
				exit.code, exit.errOut = 1, fmt.Sprintf("cat: %s: No such file or directory\n", f)
				continue
			}
			exit.out += string(data)
		}
	case "hostname":
		exit.out = b.on.Name + "\n"
	default:
		// GLib's own quotes, which are what makes Proxmox's status line unwritable.
		return nil, agentError("Guest agent command failed, error was 'Failed to execute child process “%s” (No such file or directory)'", a.Path)
	}
	return b.started(exit), nil
}

// started notes a program's end for exec-status.
func (b *blankMachine) started(exit blankExit) any {
	b.last++
	b.exited[b.last] = exit
	return map[string]any{"pid": b.last}
}

// execStatus tells of a finished program once.
func (b *blankMachine) execStatus(pid int) (any, error) {
	exit, ok := b.exited[pid]
	if !ok {
		return nil, agentError("Invalid parameter 'pid'")
	}
	delete(b.exited, pid)
	out := map[string]any{"exited": true, "exitcode": exit.code}
	for k, text := range map[string]string{"out": exit.out, "err": exit.errOut} {
		if text != "" {
			out[k+"-data"], out[k+"-truncated"] = base64.StdEncoding.EncodeToString([]byte(text)), false
		}
	}
	return out, nil
}

// blankDirs are the directories that files can be in.
var blankDirs = []string{"/", "/tmp", "/run", "/etc", "/var/tmp", "/root"}

func (b *blankMachine) open(a blankArgs) (any, error) {
	f := &blankFile{path: a.Path, written: strings.HasPrefix(a.Mode, "w")}
	known := false
	for _, dir := range blankDirs {
		known = known || path.Dir(a.Path) == dir
	}
	data, exists := b.files[a.Path]
	if !fs.ValidPath(strings.TrimPrefix(a.Path, "/")) || f.written && !known || !f.written && !exists {
		return nil, agentError("failed to open file '%s' (mode: '%s'): No such file or directory", a.Path, a.Mode)
	}
	if f.written {
		b.files[a.Path] = nil
	} else {
		f.data = data
	}
	b.last++
	b.handles[b.last] = f
	return b.last, nil
}

func (b *blankMachine) file(execute string, a blankArgs) (any, error) {
	f := b.handles[a.Handle]
	if f == nil {
		return nil, agentError("handle '%d' has not been found", a.Handle)
	}
	switch execute {
	case "guest-file-write":
		b.files[f.path] = append(b.files[f.path], a.Data...)
		return map[string]any{"count": len(a.Data), "eof": false}, nil
	case "guest-file-seek":
		f.at = min(a.Offset, len(f.data))
		return map[string]any{"position": f.at, "eof": false}, nil
	case "guest-file-close":
		delete(b.handles, a.Handle)
		return struct{}{}, nil
	}
	end := min(f.at+a.Count, len(f.data))
	piece := f.data[f.at:end]
	f.at = end
	return map[string]any{"count": len(piece), "buf-b64": base64.StdEncoding.EncodeToString(piece), "eof": end == len(f.data)}, nil
}
