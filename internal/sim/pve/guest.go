package pve

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"strings"
	"sync"
)

// Guest is what runs in a blank machine that was made of an image, or in a clone of one: [Options.Guest] plays it. What
// it does is seen from outside by the means that real guests have: the agent, and its power.
type Guest struct {
	// Machine is what the guest was started with; its Media hold the seed.
	Machine
	e *blankEngine
	b *blankMachine
}

// Program runs a program that the guest agent was told to start; argv[0] is its path.
type Program func(argv []string, stdin []byte) (exitCode int, stdout, stderr string)

// SetAgent starts the guest's agent, which is not there at first, or ends it: whoever calls a silent one waits.
func (g *Guest) SetAgent(on bool) {
	g.e.mu.Lock()
	defer g.e.mu.Unlock()
	if g.b.silent == nil == on {
		return
	}
	if on {
		close(g.b.silent)
		g.b.silent = nil
	} else {
		g.b.silent = make(chan struct{})
	}
}

// SetProgram says what the agent's exec runs instead of a blank machine's few commands; nil gives those back.
func (g *Guest) SetProgram(run Program) {
	g.e.mu.Lock()
	defer g.e.mu.Unlock()
	g.b.program = run
}

// runProgram runs what a guest says its programs are, which may look at the machine's files.
func (e *blankEngine) runProgram(b *blankMachine, arguments json.RawMessage) (json.RawMessage, error) {
	var a blankArgs
	if err := json.Unmarshal(arguments, &a); err != nil {
		return nil, agentError("Invalid parameter: %s", err)
	}
	e.mu.Lock()
	run := b.program
	e.mu.Unlock()
	exit := blankExit{}
	if run != nil {
		exit.code, exit.out, exit.errOut = run(append([]string{a.Path}, a.Arg...), a.Input)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return json.Marshal(b.started(exit))
}

// WriteFile puts a file on the machine's disk, where the agent and, but for /run and /tmp, clones find it.
func (g *Guest) WriteFile(path string, data []byte) {
	g.e.mu.Lock()
	defer g.e.mu.Unlock()
	g.b.files[path] = bytes.Clone(data)
}

// ReadFile gives a file of the machine's disk.
func (g *Guest) ReadFile(path string) (data []byte, ok bool) {
	g.e.mu.Lock()
	defer g.e.mu.Unlock()
	data, ok = g.b.files[path]
	return bytes.Clone(data), ok
}

// PowerOff turns the machine off, as a guest does that has ended. The guest's context ends with it.
func (g *Guest) PowerOff() {
	g.e.mu.Lock()
	mine := g.b.guest == g
	if mine {
		g.b.turnOff()
	}
	g.e.mu.Unlock()
	if mine {
		g.Exited()
	}
}

// turnOff ends the machine's guest. The caller holds the engine's lock.
func (b *blankMachine) turnOff() {
	b.on, b.guest = nil, nil
	if b.end != nil {
		b.end()
		b.end = nil
	}
	if b.silent != nil {
		close(b.silent) // who waits finds the machine off
		b.silent = nil
	}
}

// play begins a machine's guest. The caller holds the engine's lock.
func (e *blankEngine) play(m Machine, b *blankMachine) {
	for path := range b.files {
		if strings.HasPrefix(path, "/run/") || strings.HasPrefix(path, "/tmp/") {
			delete(b.files, path)
		}
	}
	ctx, cancel := context.WithCancel(e.ctx)
	g := &Guest{Machine: m, e: e, b: b}
	b.guest, b.end, b.silent, b.program = g, cancel, make(chan struct{}), nil
	e.workers.Go(func() { e.guest(ctx, g) })
}

// copyDisk gives a clone what its template has on its disk.
func (e *blankEngine) copyDisk(template, vmid int) {
	delete(e.machines, vmid)
	b := e.machine(vmid)
	if from := e.machines[template]; from != nil && e.guest != nil {
		maps.Copy(b.files, from.files)
	}
}

// waitForAgent waits until a machine's agent is up; false when ctx ended before. It returns with the engine's lock.
func (e *blankEngine) waitForAgent(ctx context.Context, vmid int) (*blankMachine, bool) {
	for {
		e.mu.Lock()
		b := e.machine(vmid)
		up := b.on != nil && b.silent == nil
		var change <-chan struct{} // nil while the machine is off: nothing but ctx ends the wait
		if b.silent != nil {
			change = b.silent
		}
		if up {
			return b, true
		}
		e.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			e.mu.Lock()
			return nil, false
		}
	}
}

// players is what a blank engine needs to play guests: what they do, how long, and who waits for them.
type players struct {
	guest   func(context.Context, *Guest)
	ctx     context.Context
	workers *sync.WaitGroup
}
