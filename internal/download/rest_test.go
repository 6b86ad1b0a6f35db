package download_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/download"
)

// shaky serves a text that it cuts off after a few bytes; etag is what it calls the text, anew at each request where it
// holds a %d.
func shaky(t *testing.T, text, etag string, cut int, cuts int32) (s *httptest.Server, asked *atomic.Int32, sent *atomic.Int64) {
	t.Helper()
	asked, sent = new(atomic.Int32), new(atomic.Int64)
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		tag := etag
		if strings.Contains(tag, "%d") {
			tag = fmt.Sprintf(tag, n)
		}
		if tag != "" {
			w.Header().Set("ETag", tag)
		}
		from := 0
		if spec := r.Header.Get("Range"); spec != "" && (r.Header.Get("If-Range") == "" || r.Header.Get("If-Range") == tag) {
			from, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(spec, "bytes="), "-"))
		}
		if from >= len(text) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(text)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		part := text[from:]
		if n <= cuts {
			part = part[:cut]
		}
		sent.Add(int64(len(part))) // before they go: who has them all asks at once
		_, _ = w.Write([]byte(part))
	}))
	t.Cleanup(s.Close)
	return s, asked, sent
}

func TestWhatNobodyChecksIsTakenUpOnlyWhereTheServerSaysThatItIsTheSame(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 4096)
	for name, tc := range map[string]struct {
		etag    string
		checked bool
		had     string
		anew    bool // the second request begins at the first byte
	}{
		"checked":       {"", true, "", false},
		"strong tag":    {`"one"`, false, "", false},
		"other version": {`"v%d"`, false, "", true},
		"no tag":        {"", false, "", true},
		"weak tag":      {`W/"one"`, false, "", true},
		"of yesterday":  {`"one"`, false, "yesterday's", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, asked, sent := shaky(t, text, tc.etag, 1000, 1)
			f, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString(tc.had); err != nil {
				t.Fatal(err)
			}
			var said []string
			var done, total int64
			err = download.Rest(t.Context(), download.Options{
				HTTP: s.Client(), Pause: time.Millisecond, Checked: tc.checked,
				Bytes: func(d, of int64) { done, total = d, of }, Says: func(s string) { said = append(said, s) },
			}, f, s.URL)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(f.Name()); err != nil || string(got) != text {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if anew := sent.Load() > int64(len(text)); anew != tc.anew {
				t.Errorf("%d bytes were sent for %d", sent.Load(), len(text))
			}
			if asked.Load() != 2 || len(said) != 1 || done != int64(len(text)) || total != int64(len(text)) {
				t.Errorf("%d requests, said %q, told %d of %d", asked.Load(), said, done, total)
			}
		})
	}
}

func TestARefusalIsNotAskedForAgain(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.NotFound(w, r)
	}))
	defer s.Close()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = download.Rest(t.Context(), download.Options{HTTP: s.Client(), Pause: time.Millisecond}, f, s.URL)
	if err == nil || !strings.Contains(err.Error(), "404") || asked != 1 {
		t.Errorf("%v after %d requests", err, asked)
	}
}
