// Package pve is a strict stand-in of Proxmox VE 9.2's HTTP API, and of 8.4's ([Options.Release]): the calls that a runner dispatcher makes, under
// /api2/json, with Proxmox's own parameter checks, privileges, locks, task workers, delays and error texts.
//
// Tests reach it in process through [Server.RoundTripper]; `mayfly demo`, `mayfly sim` and foreign clients reach it over
// TLS through [Server.Serve]. What stands behind the API, the machines themselves, is an [Engine]: nil gives blank
// machines, sim/world gives guests that run jobs, sim/pve/qemu boots real ones. Of images that a node has downloaded, or
// that were uploaded, it makes VMs: [DiskMaker] engines boot them, and [Options.Guest] plays them in virtual time.
//
// The invariant: a request that the release would refuse is refused here, with its status and its words; nothing is
// more lenient than the real server. The texts come from requests tried on it, recorded in testdata.
package pve
