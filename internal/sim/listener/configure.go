package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"mayfly/internal/sim/runnerproto"
)

// configure trades a registration token for a configuration, as config.sh does.
func (p *program) configure(ctx context.Context, in input) int {
	if p.configured() {
		p.out.fail("Cannot configure the runner because it is already configured. To reconfigure the runner, run 'config.cmd remove' or './config.sh remove' first.")
		return exitTerminated
	}
	for _, name := range []string{"url", "token"} { // there is nobody to ask
		if in.values[name] == "" {
			p.out.fail("Invalid configuration provided for " + name + ". Terminating unattended configuration.")
			return exitTerminated
		}
	}
	name := in.values["name"]
	if name == "" {
		if name, _ = os.Hostname(); name == "" {
			name = "myrunner"
		}
	}
	request := runnerproto.RegisterRequest{
		URL: in.values["url"], Name: name, Labels: labels(in.values["labels"]),
		Ephemeral: in.has("ephemeral"), DisableUpdate: in.has("disableupdate"), Replace: in.has("replace"),
		NoDefaultLabels: in.has("no-default-labels"), RunnerGroup: in.values["runnergroup"], WorkFolder: in.values["work"],
	}
	encoded, err := runnerproto.Register(ctx, p.transport, in.values["token"], request)
	switch {
	case errors.Is(err, runnerproto.ErrExists):
		p.out.fail("A runner exists with the same name " + name + ".")
		return exitTerminated
	case err != nil:
		p.out.fail(err.Error())
		return exitTerminated
	}
	p.out.say("\n√ Connected to GitHub\n\n√ Runner successfully added")
	if err := p.saveConfig(encoded); err != nil {
		p.out.fail(err.Error())
		return exitTerminated
	}
	// What config.sh does last: keep the PATH and the language of whoever configured (actions/runner env.sh).
	if path := p.variable("PATH"); path != "" {
		_ = os.WriteFile(p.path(".path"), []byte(path+"\n"), 0o644)
	}
	if lang := p.variable("LANG"); lang != "" {
		_ = os.WriteFile(p.path(".env"), []byte("LANG="+lang+"\n"), 0o644)
	}
	p.out.say("√ Settings Saved.\n")
	return exitSuccess
}

// remove forgets the configuration. The real one can also remove the registration at GitHub, unless it came as a JIT
// configuration (actions/runner#2920); here that is the dispatcher's.
func (p *program) remove(in input) int {
	if !in.has("local") {
		p.out.fail("Removing the registration is not part of this stand-in; use --local to remove the configuration.")
		return exitTerminated
	}
	p.deleteConfig()
	return exitSuccess
}

func labels(list string) []string {
	var out []string
	for label := range strings.SplitSeq(list, ",") {
		if label = strings.TrimSpace(label); label != "" {
			out = append(out, label)
		}
	}
	return out
}
