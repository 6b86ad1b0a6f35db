package world

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"mayfly/internal/sim/pve"
)

// agent is the QEMU guest agent in a machine, as far as a dispatcher uses it (QEMU docs/interop/qemu-ga-ref).
type agent struct {
	m *machine

	mu       sync.Mutex
	lastPID  int
	programs map[int]*program
	lastFile int
	files    map[int]*openFile
}

func newAgent(m *machine) *agent {
	return &agent{m: m, lastPID: 800, programs: map[int]*program{}, lastFile: 1000, files: map[int]*openFile{}}
}

// command answers one agent command. arguments is never nil.
type command func(a *agent, arguments json.RawMessage) (any, error)

func agentCommands() map[string]command {
	nothing := func(*agent, json.RawMessage) (any, error) { return struct{}{}, nil }
	return map[string]command{
		"guest-ping":        nothing,
		"guest-exec":        (*agent).exec,
		"guest-exec-status": (*agent).execStatus,
		"guest-file-open":   (*agent).fileOpen,
		"guest-file-read":   (*agent).fileRead,
		"guest-file-write":  (*agent).fileWrite,
		"guest-file-close":  (*agent).fileClose,
		"guest-file-flush":  nothing,
		"guest-info":        (*agent).info,
		"guest-get-host-name": func(a *agent, _ json.RawMessage) (any, error) {
			return map[string]string{"host-name": a.m.hostname()}, nil
		},
		"guest-get-osinfo": func(*agent, json.RawMessage) (any, error) {
			return map[string]string{
				"id": "ubuntu", "name": "Ubuntu", "pretty-name": "Ubuntu 22.04.5 LTS", "version": "22.04.5 LTS (Jammy Jellyfish)", "version-id": "22.04",
				"kernel-release": "5.15.0-161-generic", "kernel-version": "#171-Ubuntu SMP", "machine": "x86_64",
			}, nil
		},
		"guest-network-get-interfaces": (*agent).interfaces,
		"guest-shutdown": func(a *agent, _ json.RawMessage) (any, error) {
			a.m.pressButton()
			return struct{}{}, nil
		},
	}
}

// call answers a command with what its reply holds under "return".
func (a *agent) call(_ context.Context, execute string, arguments json.RawMessage) (json.RawMessage, error) {
	run := agentCommands()[execute]
	if run == nil {
		return nil, &pve.AgentError{Class: "CommandNotFound", Desc: "The command " + execute + " has not been found"}
	}
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	out, err := run(a, arguments)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

func refusal(desc string) error { return &pve.AgentError{Class: "GenericError", Desc: desc} }

func (a *agent) info(json.RawMessage) (any, error) {
	type supported struct {
		Name     string `json:"name"`
		Enabled  bool   `json:"enabled"`
		Response bool   `json:"success-response"`
	}
	var list []supported
	for name := range agentCommands() {
		list = append(list, supported{name, true, name != "guest-shutdown"})
	}
	slices.SortFunc(list, func(x, y supported) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	return map[string]any{"version": "6.2.0", "supported_commands": list}, nil
}

func (a *agent) interfaces(json.RawMessage) (any, error) {
	list := []map[string]any{{
		"name": "lo", "hardware-address": "00:00:00:00:00:00",
		"ip-addresses": []map[string]any{{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}},
	}}
	if a.m.MAC != "" {
		list = append(list, map[string]any{"name": "eth0", "hardware-address": a.m.MAC, "ip-addresses": []map[string]any{
			{"ip-address": a.m.address(), "ip-address-type": "ipv4", "prefix": 16},
		}})
	}
	return list, nil
}
