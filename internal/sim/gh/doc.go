// Package gh is a strict stand-in for GitHub: the Actions part of its REST API (under "/" and "/api/v3"), the service
// that runners talk to (under "/_runner/", protocol in sim/runnerproto), and doors for tests (under "/_sim/", to
// loopback clients only). "mayfly sim gh", "mayfly demo" and tests run it; the controller never imports it.
//
// It refuses what GitHub refuses, with GitHub's status and words, as far as GitHub's published OpenAPI description and
// the documents named beside the code tell. The one invariant: a job is started at most once, and a runner never has
// two jobs.
//
// Nothing happens behind a request's back: deadlines (an assignment nobody picks up, a lease that runs out) are
// worked off, at their own time, by the next request or poll that could see them. So the stand-in behaves the same in
// real and in virtual time (testing/synctest), and the same seed gives the same choices.
package gh
