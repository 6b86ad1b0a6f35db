// Package runnerproto is how a stand-in runner speaks to sim/gh: the encoded JIT configuration that names a
// registration, and the small JSON protocol behind its ServerUrlV2. Guests of sim/world and the runner stand-in in
// sim/listener are its clients; sim/gh is its server.
//
// The configuration has GitHub's real shape, so that whatever handles it on its way into a guest sees what it would
// see in life. The protocol is ours: GitHub's message broker is not public. The one invariant: a [Config] that
// [Encode] wrote is what [Decode] reads, and neither a Config nor an [Error] prints the registration's token.
package runnerproto
