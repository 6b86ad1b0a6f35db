package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"mayfly/internal/runner"
)

func TestDetailsOfARefusalAreToldInEveryForm(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"Validation Failed","errors":"Runner group 1 has reached max limit of 10000 runners"}`:                    "Validation Failed: Runner group 1 has reached max limit of 10000 runners",
		`{"message":"Validation Failed","errors":["Name is too long","Labels are odd"]}`:                                      "Validation Failed: Name is too long, Labels are odd",
		`{"message":"Validation Failed","errors":[{"resource":"Runner","field":"name","code":"invalid"}]}`:                    "Validation Failed: name invalid",
		`{"message":"Validation Failed","errors":[{"resource":"Runner","code":"custom","message":"Name is taken by magic"}]}`: "Validation Failed: Name is taken by magic",
		`{"message":"Validation Failed","errors":[{}, 7]}`:                                                                    "Validation Failed",
		`{"message":"Validation Failed","errors":null}`:                                                                       "Validation Failed",
		`{"message":"Validation Failed"}`:                                                                                     "Validation Failed",
		`<html>422</html>`:                                                                                                    "",
	} {
		c := newClient(t, nil, func(o *Options) {
			o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				return reply(http.StatusUnprocessableEntity, body, nil), nil
			})
		})
		_, err := c.CreateJITConfig(t.Context(), octo, "r", []string{"x"}, 1)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Invalid || e.Message != want {
			t.Errorf("%s became %v", body, err)
		}
	}
}

func TestTakenNameIsExistsAs422Too(t *testing.T) {
	c := newClient(t, nil, func(o *Options) {
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			return reply(http.StatusUnprocessableEntity, `{"message":"Validation Failed","errors":["A runner with this name already exists"]}`, nil), nil
		})
	})
	if _, err := c.CreateJITConfig(t.Context(), octo, "r", []string{"x"}, 1); !errors.Is(err, Exists) {
		t.Errorf("%v", err)
	}
}

func TestLongMessagesAreCutWhereARuneEnds(t *testing.T) {
	c := newClient(t, nil, func(o *Options) {
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			return reply(http.StatusForbidden, `{"message":"`+strings.Repeat("ü", 5000)+`"}`, http.Header{"X-Github-Sso": {"required"}}), nil
		})
	})
	_, err := c.Runners(t.Context(), octo)
	if !errors.Is(err, Permission) || len(err.Error()) > 3*maxMessage || !utf8.ValidString(err.Error()) || !strings.Contains(err.Error(), hintSSO) {
		t.Errorf("%v", err)
	}
}

func TestRedirectsThatLeadNowhereEnd(t *testing.T) {
	n := 0
	c := newClient(t, nil, func(o *Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			n++
			code := http.StatusTemporaryRedirect
			if r.Method == http.MethodPost {
				code = http.StatusFound // http.Client would make a GET of it
			}
			return reply(code, "", http.Header{"Location": {fmt.Sprintf("https://api.github.com/loop/%d", n)}}), nil
		})
	})
	if _, err := c.Runners(t.Context(), octo); !errors.Is(err, Invalid) || n != 5 {
		t.Errorf("%d requests, %v", n, err)
	}
	n = 0
	if _, err := c.CreateRegistrationToken(t.Context(), octo); !errors.Is(err, Invalid) || n != 1 {
		t.Errorf("%d requests, %v", n, err)
	}
}

func TestPagesThatLeadBackEnd(t *testing.T) {
	n := 0
	c := newClient(t, nil, func(o *Options) {
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			n++
			return reply(http.StatusOK, `{"total_count":500,"runners":[{"id":1,"name":"r"}]}`, http.Header{"Link": {`<https://api.github.com/x?page=2>; rel="next"`}}), nil
		})
	})
	if list, err := c.Runners(t.Context(), octo); !errors.Is(err, Unavailable) || list != nil || n != 2 {
		t.Errorf("%d requests, %v, %v", n, list, err)
	}
}

func TestEndlessReplyIsGivenUp(t *testing.T) {
	c := newClient(t, nil, func(o *Options) {
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			res := reply(http.StatusOK, "", nil)
			res.Body, res.ContentLength = endless{}, -1
			return res, nil
		})
	})
	if err := c.RemoveRunner(t.Context(), octo, 1); !errors.Is(err, MaybeHappened) || !strings.Contains(err.Error(), "32 MiB") {
		t.Errorf("%v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (endless) Close() error               { return nil }

func TestListShorterThanItsCountIsAnErrorForRunsToo(t *testing.T) {
	c := newClient(t, nil, func(o *Options) {
		o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			return reply(http.StatusOK, `{"total_count":5,"workflow_runs":[]}`, nil), nil
		})
	})
	if jobs, err := c.Jobs(t.Context(), runner.Target{Owner: "o", Repo: "r"}); !errors.Is(err, Unavailable) || jobs != nil {
		t.Errorf("%v, %v", jobs, err)
	}
}
