// Package record keeps what Proxmox VE and GitHub answered to a `mayfly check`, so that a user's report can become a test: a [Recorder]
// stands between the clients and their transports, [Recorder.Save] writes a folder, and [Open] answers from one like the two servers.
//
// The invariant: nothing reaches the folder that could be a secret or tell who wrote it. Redaction is by what is known to be harmless,
// not by what is known to be dangerous: of a reply only keys that the checks read are kept, and of their values only words of Proxmox's
// and GitHub's own, numbers, times, and names, each name as a stand-in ("storage1") that is the same everywhere in the folder.
package record
