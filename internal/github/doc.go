// Package github is Mayfly's client of GitHub's REST API: jobs that wait, runners that are registered, identities for
// new ones, and their removal. The controller (package fleet) and the demand source (package demand) call it; it is
// built over google/go-github with a personal access token.
//
// It adds what go-github leaves to its callers: conditional requests (a 304 costs nothing of the hourly budget), a
// governor that keeps GitHub's limits without ever sleeping inside a call, repeats of GETs only, and errors that say
// what to do next.
//
// The one invariant: a list is either what GitHub has, whole, or an error. A page that can't be read, an empty body
// or a limit is never taken for "nothing there", and a request that may have changed something is never sent twice.
package github
