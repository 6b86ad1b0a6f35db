// Package wire serves an http.Handler the way Proxmox's own servers do, and breaks it on demand.
//
// It exists because net/http's server can't put a reason phrase of one's choice on the status line, and Proxmox says
// much of what it says only there ("500 VM 7777 is locked (clone)", "596 Broken pipe"). The same handler is reached over
// any net.Listener ([Server.Serve]) and in process ([Server.RoundTripper]); both carry the phrase and the same faults.
// The stand-ins under internal/sim use it.
//
// The invariant: a request whose handler began runs to its end, whatever becomes of the client, as on a real server;
// only [Server.Close] ends its context, and Close waits for it.
package wire
