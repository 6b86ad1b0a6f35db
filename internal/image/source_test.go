package image

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
)

func TestChecksumsAreReadWithAndWithoutTheirAlgorithm(t *testing.T) {
	long, short := strings.Repeat("aB", 64), strings.Repeat("01", 32)
	for text, want := range map[string]string{
		"sha512:" + long: "sha512:" + strings.ToLower(long), long: "sha512:" + strings.ToLower(long),
		"sha256:" + short: "sha256:" + short, short: "sha256:" + short,
	} {
		if got, err := ParseChecksum(text); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "sha256:", "sha256:" + long, "sha512:" + short, "md5:" + short[:32], "sha256:" + short[1:] + "g"} {
		if got, err := ParseChecksum(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestNamesWithADotAreThoseWithout(t *testing.T) {
	for text, want := range map[string]string{"ubuntu-24.04": "ubuntu-2404", "Ubuntu-2204": "ubuntu-2204", "debian-12": "debian-12"} {
		if got, err := Name(text); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	if got, err := Name("debian 12"); err == nil {
		t.Errorf("a name with a space is %q", got)
	}
}

// server serves files and counts requests; it drops the connection after cut bytes of the first replies.
func server(t *testing.T, files map[string]string, cut int, cuts int) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if n <= cuts {
			from := 0
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(text)-1, len(text)))
				w.Header().Set("Content-Length", strconv.Itoa(len(text)-from))
				w.WriteHeader(http.StatusPartialContent)
			} else {
				w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			}
			_, _ = io.WriteString(w, text[from:from+cut])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	t.Cleanup(s.Close)
	return s, &asked
}

func TestChecksumIsTheOneOfTheFilesLine(t *testing.T) {
	a, b := hex.EncodeToString(sum256("a")), hex.EncodeToString(sum256("b"))
	s, _ := server(t, map[string]string{"/SHA256SUMS": a + "  other.img\n" + b + " *jammy.img\n"}, 0, 0)
	got, err := checksumOf(t.Context(), s.Client(), s.URL+"/SHA256SUMS", "jammy.img", "sha256")
	if err != nil || got.Hex != b {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []struct{ path, file, says string }{
		{"/SHA256SUMS", "noble.img", "no line for noble.img"}, {"/nothing", "jammy.img", "404"},
	} {
		if _, err := checksumOf(t.Context(), s.Client(), s.URL+bad.path, bad.file, "sha256"); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestEveryVendorsImageHasAListOfChecksumsOverHTTPS(t *testing.T) {
	for name, v := range vendors() {
		if !strings.HasPrefix(v.image, "https://") || !strings.HasSuffix(v.sums, "SUMS") || !strings.EqualFold(v.algorithm+"sums", v.sums) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if _, err := VendorSource(t.Context(), nil, "plan9-4"); err == nil || !strings.Contains(err.Error(), "debian-12, ubuntu-2204, ubuntu-2404") {
		t.Errorf("%v", err)
	}
}

func sum256(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

func TestADownloadThatBreaksOffIsTakenUpAgain(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 1<<16)
	s, asked := server(t, map[string]string{"/d.qcow2": text}, 300_000, 2)
	h := sha512.Sum512([]byte(text))
	src := Source{URL: s.URL + "/d.qcow2", Checksum: Checksum{"sha512", hex.EncodeToString(h[:])}}
	var last Event
	b := &Builder{http: s.Client(), cache: t.TempDir(), resumeAfter: time.Millisecond, fetching: semaphore.NewWeighted(1), report: &reporter{to: func(e Event) { last = e }}}
	f, err := b.localFile(t.Context(), src, &teller{r: b.report})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := os.ReadFile(f.Name()); err != nil || string(got) != text || asked.Load() != 3 {
		t.Errorf("%d bytes after %d requests, %v", len(got), asked.Load(), err)
	}
	if last.Done != int64(len(text)) || last.Total != int64(len(text)) {
		t.Errorf("it ended with %+v", last)
	}
	again, err := b.localFile(t.Context(), src, &teller{r: b.report})
	if err != nil || asked.Load() != 3 {
		t.Errorf("what is there already: %v after %d requests", err, asked.Load())
	}
	again.Close()
}

func TestAFileWithAnotherChecksumIsRefusedAndForgotten(t *testing.T) {
	s, _ := server(t, map[string]string{"/d.qcow2": "not what was promised"}, 0, 0)
	b := &Builder{http: s.Client(), cache: t.TempDir(), resumeAfter: time.Millisecond, fetching: semaphore.NewWeighted(1), report: &reporter{}}
	src := Source{URL: s.URL + "/d.qcow2", Checksum: Checksum{"sha256", hex.EncodeToString(sum256("promised"))}}
	for range 2 { // the second time nothing of the first is taken for a beginning
		if f, err := b.localFile(t.Context(), src, &teller{r: b.report}); err == nil || !strings.Contains(err.Error(), "not sha256:") {
			t.Errorf("%v, %v", f, err)
		}
	}
	src.URL = s.URL + "/nowhere"
	if _, err := b.localFile(t.Context(), src, &teller{r: b.report}); err == nil || !strings.Contains(err.Error(), "404") || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}
