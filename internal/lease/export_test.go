package lease

import "net/http"

// GuardEnded is the guard of a term that is over.
func (t *Term) GuardEnded(why string, next http.RoundTripper) http.RoundTripper {
	t.why = why
	return t.Guard(next)
}
