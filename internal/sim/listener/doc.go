// Package main is a stand-in of GitHub's runner for guests that can't have the real one: bin/Runner.Listener with the
// command line, environment, output, files and exit codes of actions/runner, which run-once.sh and its users rely on.
//
//	bin/Runner.Listener run [--jitconfig CONFIG] [--once]
//	bin/Runner.Listener configure --unattended --url URL --token TOKEN [--name NAME] [--labels A,B] [--ephemeral] …
//	bin/Runner.Listener remove --local
//	bin/Runner.Listener --version | --commit | --warmup | --help
//
// It takes one job after the other (one only, where the registration is ephemeral) from sim/gh, in the protocol of
// sim/runnerproto, and runs the steps for real, each in /bin/sh -e. test/guest builds it into the guests' images.
//
// The invariant: a job is started at most once, and whatever happens to its steps, the server is told how it ended as
// long as it can be reached.
package main
