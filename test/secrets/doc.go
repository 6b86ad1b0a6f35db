// Package secrets looks for every token and identity of a fleet's life where none may be. The real binary runs as a process
// at debug level between `mayfly sim pve` and `mayfly sim gh`, over connections that the test listens in on, so that it
// knows each secret that there is; jobs are served, and on the way replies get lost, servers fail and repeat what they were
// sent, guests print what they were given. Then everything that the life left is searched: logs, errors, process arguments
// and environments, configurations and what was asked of Proxmox about them (which is what its cluster log keeps; the
// stand-in has none), task logs, files, /healthz, /readyz, /status, /config and /metrics, addresses of requests, goroutine dumps.
//
// A secret is searched for as it is, in base64 at any alignment, URL-encoded, in hex, as quoted by a log, and by parts; a
// JIT configuration also by everything that is in it.
//
// Not searched is what has to hold a secret: the environment of the dispatcher's own process where the user put it there,
// the Authorization header, what the guest agent hands to the guest on standard input, and the user-data of a VM while it
// starts. All but the first are checked to hold them: there the search must find.
//
// The invariant: a search that finds nothing is worth something only if it finds what is there. So a secret that is planted
// into each of these places is found, in each form.
package secrets
