package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	gh "github.com/google/go-github/v88/github"

	"mayfly/internal/runner"
)

// RunnerRelease is a release of the Actions runner for Linux on x64.
type RunnerRelease struct {
	// Version is without a "v": "2.330.0".
	Version string
	// SHA256 is the archive's, in hexadecimal; URL is where it is.
	SHA256, URL string
	// Released is when it was published; the zero time when nobody tells, as on GitHub Enterprise Server.
	Released time.Time
}

// runnerFile is the archive's name.
var runnerFile = regexp.MustCompile(`^actions-runner-linux-x64-([0-9]+\.[0-9]+\.[0-9]+)\.tar\.gz$`)

// LatestRunner reads the release that GitHub wants runners of the repository to have (GET
// /repos/{owner}/{repo}/actions/runners/downloads, which takes the same permission as registering them), and asks the
// runner's own repository for its day.
func (c *Client) LatestRunner(ctx context.Context, t runner.Target) (RunnerRelease, error) {
	op := "read latest runner release for " + t.String()
	if err := check(op, t); err != nil {
		return RunnerRelease{}, err
	}
	list, _, err := do(ctx, c, op, look, func(ctx context.Context) ([]*gh.RunnerApplicationDownload, *gh.Response, error) {
		return c.gh.Actions.ListRunnerApplicationDownloads(ctx, t.Owner, t.Repo)
	})
	if err != nil {
		return RunnerRelease{}, err
	}
	for _, d := range list {
		m := runnerFile.FindStringSubmatch(d.GetFilename())
		if m == nil {
			continue
		}
		if len(d.GetSHA256Checksum()) != 64 {
			return RunnerRelease{}, &Error{Kind: Unavailable, Op: op, Status: http.StatusOK, Message: fmt.Sprintf("no checksum of %s in the reply", d.GetFilename())}
		}
		r := RunnerRelease{Version: m[1], SHA256: strings.ToLower(d.GetSHA256Checksum()), URL: d.GetDownloadURL()}
		r.Released, err = c.runnerReleased(ctx, r.Version)
		return r, err
	}
	return RunnerRelease{}, &Error{Kind: Unavailable, Op: op, Status: http.StatusOK, Message: "the reply names no runner for Linux on x64"}
}

// runnerReleased asks for the day of a release; the zero time where the server has no such repository or the token may
// not see it.
func (c *Client) runnerReleased(ctx context.Context, version string) (time.Time, error) {
	r, _, err := do(ctx, c, "read release of runner "+version, look, func(ctx context.Context) (*gh.RepositoryRelease, *gh.Response, error) {
		return c.gh.Repositories.GetReleaseByTag(ctx, "actions", "runner", "v"+version)
	})
	switch {
	case errors.Is(err, NotFound), errors.Is(err, Permission), errors.Is(err, Unauthorized):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, err
	}
	return r.GetPublishedAt().Time, nil
}
