package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// replyError is an answer of GitHub's that isn't the wanted one.
type replyError struct {
	status     int
	header     http.Header
	message    string // GitHub's words, as sent
	docs       string // documentation_url
	recognized bool   // the body was GitHub's JSON
}

func (r *replyError) Error() string {
	return fmt.Sprintf("GitHub answers %d %s", r.status, http.StatusText(r.status))
}

// verdict is the outermost transport: it makes errors of replies that aren't good, before go-github sorts them its
// own way, and keeps the outcome in the call.
type verdict struct{ next http.RoundTripper }

func (v *verdict) RoundTrip(req *http.Request) (*http.Response, error) {
	state := callOf(req)
	res, err := v.next.RoundTrip(req)
	if err == nil && !good(res.StatusCode) {
		err = readReply(res)
		_ = res.Body.Close()
	}
	state.err = err
	if err != nil {
		return nil, err
	}
	return res, nil
}

// good are the replies that go-github may read, and the redirects that http.Client follows. 202 is none: go-github's
// calls that we use answer at once, and 304 is one only for a request of the cache's.
func good(status int) bool {
	switch status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent,
		http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// readReply reads GitHub's error body: {"message": "…", "documentation_url": "…", "errors": […]} (docs,
// "Troubleshooting the REST API"; elements of errors are objects or, from some endpoints, plain strings).
func readReply(res *http.Response) *replyError {
	r := &replyError{status: res.StatusCode, header: res.Header}
	var body struct {
		Message string          `json:"message"`
		Docs    string          `json:"documentation_url"`
		Errors  json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(peek(res), &body) != nil {
		return r
	}
	r.message, r.docs, r.recognized = body.Message, body.Docs, body.Message != ""
	if more := details(body.Errors); more != "" {
		r.message += ": " + more
	}
	return r
}

// details reads the errors of a 422.
func details(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var many []json.RawMessage
	_ = json.Unmarshal(raw, &many)
	var words []string
	for _, m := range many {
		var text string
		var detail struct {
			Field   string `json:"field"`
			Code    string `json:"code"`
			Message string `json:"message"`
		}
		switch {
		case json.Unmarshal(m, &text) == nil:
			words = append(words, text)
		case json.Unmarshal(m, &detail) == nil && detail.Message != "":
			words = append(words, detail.Message)
		case detail.Field+detail.Code != "":
			words = append(words, strings.TrimSpace(detail.Field+" "+detail.Code))
		}
	}
	return strings.Join(words, ", ")
}
