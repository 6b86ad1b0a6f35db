package github

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestRetryAfterIsReadAsSecondsOrDate(t *testing.T) {
	cases := map[string]struct {
		value string
		ahead time.Duration
		want  time.Duration
		ok    bool
	}{
		"none":                 {"", 0, 0, false},
		"seconds":              {"73", 0, 73 * time.Second, true},
		"zero":                 {"0", 0, 0, true},
		"spaces":               {" 5 ", 0, 5 * time.Second, true},
		"a year":               {"31536000", 0, maxRetryAfter, true},
		"more than int64":      {"99999999999999999999", 0, maxRetryAfter, true},
		"negative":             {"-1", 0, 0, false},
		"words":                {"soon", 0, 0, false},
		"date":                 {noon.Add(90 * time.Second).Format(http.TimeFormat), 0, 90 * time.Second, true},
		"date in the past":     {noon.Add(-time.Hour).Format(http.TimeFormat), 0, 0, true},
		"date of a fast clock": {noon.Add(10*time.Minute + 30*time.Second).Format(http.TimeFormat), 10 * time.Minute, 30 * time.Second, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := parseRetryAfter(http.Header{"Retry-After": {c.value}}, noon, c.ahead)
			if got != c.want || ok != c.ok {
				t.Errorf("%v, %v; want %v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func rateHeaders(limit, remaining, reset, resource string) http.Header {
	h := http.Header{}
	for k, v := range map[string]string{"Limit": limit, "Remaining": remaining, "Reset": reset, "Resource": resource} {
		if v != "" {
			h.Set("X-RateLimit-"+k, v)
		}
	}
	return h
}

func TestAllowanceIsReadOrLeftAlone(t *testing.T) {
	reset := strconv.FormatInt(noon.Unix(), 10)
	resource, a, ok := parseAllowance(rateHeaders("5000", "4987", reset, "core"), 0)
	if !ok || resource != "core" || a != (allowance{5000, 4987, time.Unix(noon.Unix(), 0)}) {
		t.Errorf("%q %+v %v", resource, a, ok)
	}
	if _, a, _ := parseAllowance(rateHeaders("5000", "4987", reset, ""), 10*time.Minute); !a.reset.Equal(noon.Add(-10 * time.Minute)) {
		t.Errorf("a server whose clock is 10 minutes fast resets at %v by ours", a.reset)
	}
	for name, h := range map[string]http.Header{
		"none": {}, "no reset": rateHeaders("5000", "10", "", ""), "no limit": rateHeaders("", "10", reset, ""),
		"negative": rateHeaders("5000", "-1", reset, ""), "words": rateHeaders("many", "some", "soon", ""), "limit 0": rateHeaders("0", "0", reset, ""),
	} {
		if _, _, ok := parseAllowance(h, 0); ok {
			t.Errorf("%s: taken for an allowance", name)
		}
	}
}

func FuzzLimitHeaders(f *testing.F) {
	f.Add("60", "5000", "4999", "1795521600", "core", int64(0))
	f.Add("Wed, 21 Oct 2015 07:28:00 GMT", "0", "-1", "99999999999999999999", "", int64(time.Hour))
	f.Add("-5", "", "", "9223372036854775807", "x", int64(-1))
	f.Fuzz(func(t *testing.T, retryAfter, limit, remaining, reset, resource string, ahead int64) {
		h := http.Header{
			"Retry-After": {retryAfter}, "X-Ratelimit-Limit": {limit}, "X-Ratelimit-Remaining": {remaining},
			"X-Ratelimit-Reset": {reset}, "X-Ratelimit-Resource": {resource},
		}
		wait, ok := parseRetryAfter(h, noon, time.Duration(ahead))
		if wait < 0 || wait > maxRetryAfter || (!ok && wait != 0) {
			t.Errorf("Retry-After %q: %v, %v", retryAfter, wait, ok)
		}
		name, a, ok := parseAllowance(h, 0)
		if ok && (name == "" || a.limit <= 0 || a.remaining < 0 || a.remaining > a.limit || a.reset.IsZero()) {
			t.Errorf("%v: %q %+v", h, name, a)
		}
	})
}
