package sim

import "net/http"

// standIn is a stand-in, and the two ways to it.
type standIn interface {
	RoundTripper() http.RoundTripper
	Connections() http.RoundTripper
}

// way is how the dispatcher of this world reaches a stand-in: in one of ten by HTTP over connections in memory, else by calls.
func (w *world) way(to standIn) http.RoundTripper {
	if between(1, 10, w.seed, "wired") == 1 {
		return to.Connections()
	}
	return to.RoundTripper()
}
