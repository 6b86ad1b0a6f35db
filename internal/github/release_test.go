package github

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestLatestRunnerIsTheOneOfLinuxOnX64WithItsDay(t *testing.T) {
	sum := strings.Repeat("0aB9", 16)
	release := func(w http.ResponseWriter) {
		say(w, http.StatusOK, object{"tag_name": "v2.336.0", "published_at": "2026-11-18T09:00:00Z"})
	}
	for name, tc := range map[string]struct {
		downloads any
		release   func(http.ResponseWriter)
		released  string
		says      string
	}{
		"known day": {[]object{
			{"os": "osx", "architecture": "x64", "filename": "actions-runner-osx-x64-2.336.0.tar.gz", "sha256_checksum": strings.Repeat("00", 32)},
			{"os": "linux", "architecture": "x64", "filename": "actions-runner-linux-x64-2.336.0.tar.gz", "sha256_checksum": sum, "download_url": "https://github.com/x"},
		}, release, "2026-11-18", ""},
		"a server without that repository": {[]object{
			{"os": "linux", "architecture": "x64", "filename": "actions-runner-linux-x64-2.336.0.tar.gz", "sha256_checksum": sum, "download_url": "https://github.com/x"},
		}, func(w http.ResponseWriter) { say(w, http.StatusNotFound, object{"message": "Not Found"}) }, "0001-01-01", ""},
		"no checksum": {[]object{{"os": "linux", "architecture": "x64", "filename": "actions-runner-linux-x64-2.336.0.tar.gz"}}, release, "", "no checksum of"},
		"no Linux":    {[]object{{"os": "win", "architecture": "x64", "filename": "actions-runner-win-x64-2.336.0.zip"}}, release, "", "names no runner for Linux"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case root + "/actions/runners/downloads":
					say(w, http.StatusOK, tc.downloads)
				case "/repos/actions/runner/releases/tags/v2.336.0":
					tc.release(w)
				default:
					t.Errorf("asked for %s", r.URL.Path)
				}
			}))
			got, err := c.LatestRunner(t.Context(), octo)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			want := RunnerRelease{Version: "2.336.0", SHA256: strings.ToLower(sum), URL: "https://github.com/x", Released: got.Released}
			if err != nil || got != want || got.Released.Format(time.DateOnly) != tc.released {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
