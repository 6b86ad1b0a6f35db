// Package cli holds Mayfly's commands, one file each or a few that begin with its name, and what they share: global flags, the log, exit codes.
//
// cmd/mayfly calls [Main]. A command is a constructor `newXCommand(a *app) *cobra.Command` that is listed in
// [commands]; it gets its configuration from app.loadConfig and its log from app.logger.
//
// The invariant: everything a command needs from its process (arguments, environment, streams, the context that ends
// on Ctrl-C) is handed to Main, so that a test can run any command in its own process. The one exception is the address
// of systemd, which its library reads itself.
package cli
