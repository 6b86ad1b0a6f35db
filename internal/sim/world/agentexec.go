package world

import (
	"encoding/json"
	"fmt"
	"path"
)

// program is a process that the agent started.
type program struct {
	done     chan struct{}
	code     int
	out, err string
	capture  bool
}

// outcome is what a program leaves when it ends.
type outcome struct {
	code     int
	out, err string
}

func (a *agent) exec(arguments json.RawMessage) (any, error) {
	var in struct {
		Path    string
		Arg     []string
		Env     []string
		Input   []byte          `json:"input-data"`
		Capture json.RawMessage `json:"capture-output"`
	}
	if err := json.Unmarshal(arguments, &in); err != nil {
		return nil, refusal("Invalid parameter 'input-data'")
	}
	run := a.m.find(in.Path)
	if run == nil {
		return nil, refusal(fmt.Sprintf("Guest agent command failed, error was 'Failed to execute child process “%s” (No such file or directory)'", in.Path))
	}
	p := &program{done: make(chan struct{}), capture: string(in.Capture) == "true"}
	a.mu.Lock()
	a.lastPID++
	pid := a.lastPID
	a.programs[pid] = p
	a.mu.Unlock()
	began := a.m.begin(func() {
		defer close(p.done)
		o := run(in.Arg, in.Env, string(in.Input))
		p.code, p.out, p.err = o.code, o.out, o.err
	})
	if !began {
		return nil, refusal("Guest agent command failed, error was 'Failed to fork'")
	}
	return map[string]int{"pid": pid}, nil
}

// find gives what runs under a path: the script, or a shell; nil when there is no such program.
func (m *machine) find(file string) func(args, env []string, stdin string) outcome {
	switch {
	case file == scriptPath && m.disk.exists(scriptPath):
		return func(args, _ []string, stdin string) outcome { return m.runOnce(args, stdin) }
	case path.Base(file) == "sh" || path.Base(file) == "bash":
		return func(args, env []string, stdin string) outcome {
			if len(args) == 2 && (args[0] == "-c" || args[0] == "-ec") {
				return m.shell(m.ctx, "/", env, stdin, args[0] == "-ec").run(args[1])
			}
			return m.shell(m.ctx, "/", env, stdin, false).run(stdin)
		}
	case builtins()[path.Base(file)] != nil:
		return func(args, env []string, stdin string) outcome {
			return m.shell(m.ctx, "/", env, stdin, false).call(append([]string{path.Base(file)}, args...))
		}
	}
	return nil
}

func (a *agent) execStatus(arguments json.RawMessage) (any, error) {
	var in struct{ PID int }
	if json.Unmarshal(arguments, &in) != nil {
		return nil, refusal("Invalid parameter 'pid'")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.programs[in.PID]
	if p == nil {
		return nil, refusal("Invalid parameter 'pid'")
	}
	select {
	case <-p.done:
	default:
		return map[string]any{"exited": false}, nil
	}
	delete(a.programs, in.PID) // it can be read once
	out := map[string]any{"exited": true, "exitcode": p.code}
	if p.capture && p.out != "" {
		out["out-data"] = []byte(p.out)
	}
	if p.capture && p.err != "" {
		out["err-data"] = []byte(p.err)
	}
	return out, nil
}

// hostname is what cloud-init or the clone's name made it.
func (m *machine) hostname() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.host != "" {
		return m.host
	}
	if m.Name != "" {
		return m.Name
	}
	return "localhost"
}

// address is the guest's, from the range for documentation.
func (m *machine) address() string { return fmt.Sprintf("198.18.%d.%d", m.VMID/250%250, 1+m.VMID%250) }
