// Package config turns mayfly.yaml, the environment, an env file and flags into one checked [Config].
//
// internal/cli calls [Load] once at the start of a command. What wins, from strongest to weakest: flags, the process
// environment, the env file, systemd credentials (secrets only), mayfly.yaml, defaults. The types in file.go are the
// one description of every key: their tags hold the variable, the default and the accepted form, their comments are
// the text of docs/configuration.md and of the JSON Schema.
//
// The invariant: a Config that Load returns has passed every check, and whatever was wrong is told all at once, one
// line each, without ever showing a secret.
package config
