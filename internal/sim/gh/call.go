package gh

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// incoming is a request as it arrived, over a connection or in process.
type incoming struct {
	method string
	url    *url.URL
	header http.Header
	host   string
	https  bool
	remote string // address of the client
	body   []byte
	// gone is closed when the client gave up.
	gone <-chan struct{}
}

// call is a request on its way through a handler.
type call struct {
	*incoming
	path   string // without "/api/v3", and with the repository's name where it had its id
	prefix string // "/api/v3" or ""
	now    time.Time
	args   map[string]string
	token  *token
	repo   *repository // of /repos/{owner}/{repo}/…
	org    string      // of /orgs/{org}/…
}

// reply is what a handler answers.
type reply struct {
	status int
	header http.Header
	body   []byte
	// reset breaks the connection instead of answering.
	reset bool
}

func (r reply) with(key, value string) reply {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(key, value)
	return r
}

// base is where the client found the API: "http://host/api/v3" or "http://host".
func (c *call) base() string { return c.web() + c.prefix }

// web is where a browser would find GitHub.
func (c *call) web() string {
	scheme := "http"
	if c.https {
		scheme = "https"
	}
	return scheme + "://" + c.host
}

func (c *call) query(name string) string { return c.url.Query().Get(name) }

// answer is a JSON reply.
func answer(status int, v any) reply {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("sim/gh: marshal reply: %v", err)) // replies are made of strings, numbers and times
	}
	return reply{status: status, body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}.with("Content-Type", "application/json; charset=utf-8")
}

// nothing is a reply without a body.
func nothing(status int) reply { return reply{status: status} }

// docs is what GitHub puts into documentation_url where it has nothing more precise.
const docs = "https://docs.github.com/rest"

// problem is GitHub's form of an error (OpenAPI, schema "basic-error").
func problem(status int, message, anchor string) reply {
	link := docs
	if anchor != "" {
		link += "/" + anchor
	}
	return answer(status, struct {
		Message          string `json:"message"`
		DocumentationURL string `json:"documentation_url"`
		Status           string `json:"status"`
	}{message, link, strconv.Itoa(status)})
}

func notFound(anchor string) reply { return problem(http.StatusNotFound, "Not Found", anchor) }

// decode reads a JSON object from the request's body; the reply is GitHub's refusal.
func (c *call) decode(into any) (reply, bool) {
	body := bytes.TrimSpace(c.body)
	if len(body) == 0 {
		body = []byte("{}")
	}
	if !json.Valid(body) {
		return problem(http.StatusBadRequest, "Problems parsing JSON", ""), false
	}
	if body[0] != '{' {
		return problem(http.StatusBadRequest, "Body should be a JSON object", ""), false
	}
	if err := json.Unmarshal(body, into); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return invalid(fmt.Sprintf("For 'properties/%s', %s is not of the type it should be.", strings.ReplaceAll(typed.Field, ".", "/"), typed.Value)), false
		}
		return invalid(err.Error()), false
	}
	return reply{}, true
}

// invalid is GitHub's refusal of a body that its schema doesn't admit.
func invalid(why string) reply {
	return problem(http.StatusUnprocessableEntity, "Invalid request.\n\n"+why, "actions/self-hosted-runners")
}
