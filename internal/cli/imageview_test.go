package cli

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/image"
)

// story is what a build on two nodes tells.
func story(began time.Time) []image.Event {
	e := func(node string, s image.Stage, isNew bool, text string, done, total int64) image.Event {
		return image.Event{Image: "debian-12", Version: "20261125-1200", Node: node, Stage: s, Began: began, New: isNew, Text: text, Done: done, Total: total}
	}
	return []image.Event{
		e("", image.StageResolve, true, "", 0, 0), e("pve1", image.StageDownload, true, "https://x/y", 0, 0),
		e("pve1", image.StageDownload, false, "https://x/y", 200<<20, 400<<20), e("pve2", image.StageDownload, true, "https://x/y", 0, 0),
		e("pve1", image.StageInstall, true, "boots", 0, 0), e("pve1", image.StageInstall, false, "==> installs packages", 0, 0),
		e("pve2", image.StageFailed, true, "storage is full", 0, 0),
	}
}

func TestABuildIsToldLineByLineWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	a := newApp(Options{Stdout: &out, Stderr: &out})
	v := a.newBuildView(t.Context(), a.stderr, "")
	began := time.Now().Add(-95 * time.Second)
	for i, e := range story(began) {
		if i > 0 {
			e.Began = time.Now()
		}
		v.event(e)
	}
	v.end()
	v.close()
	want := `debian-12     resolve     1m35s
pve1          download    1m35s  https://x/y
pve2          download    1m35s  https://x/y
pve1          provision   1m35s  boots
pve2          failed      1m35s  storage is full
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestABuildOnATerminalHasALineForEachNodeThatIsWrittenAnew(t *testing.T) {
	var out bytes.Buffer
	v := &buildView{liveView: liveView{w: &out, width: func() int { return 90 }, cancel: func() {}}, now: map[string]image.Event{}, said: map[string]time.Time{}}
	for _, e := range story(time.Now()) {
		v.event(e)
	}
	v.end()
	v.close()
	if !strings.Contains(out.String(), "200.0 MiB of 400.0 MiB (50%)") || !strings.Contains(out.String(), "==> installs packages") {
		t.Errorf("%q", out.String())
	}
	// What a terminal shows in the end.
	var screen []string
	for line := range strings.Lines(out.String()) {
		for {
			rest, ok := strings.CutPrefix(line, "\x1b[")
			if !ok {
				break
			}
			up := int(rest[0] - '0')
			screen = screen[:len(screen)-up]
			line = strings.TrimPrefix(rest[1:], "A\x1b[J")
		}
		screen = append(screen, strings.TrimRight(line, "\n"))
	}
	want := []string{
		"debian-12     resolve        0s", "pve1          download       0s  200.0 MiB", "pve2          download       0s",
		"pve1          provision      0s  ==> installs packages", "pve2          failed         0s  storage is full",
	}
	if d := cmp.Diff(want, screen); d != "" {
		t.Error(d)
	}
}

func TestABuildIsLoggedByStage(t *testing.T) {
	var out bytes.Buffer
	log := logBuild(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	for _, e := range story(time.Now())[4:] {
		log(e)
	}
	want := "level=INFO msg=\"image build\" image=debian-12 version=20261125-1200 node=pve1 step=provision\n" +
		"level=ERROR msg=\"image build\" image=debian-12 version=20261125-1200 node=pve2 step=failed reason=\"storage is full\"\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestAScheduleThatIsNoneEndsTheStart(t *testing.T) {
	t.Chdir(t.TempDir())
	for schedule, says := range map[string]string{"61 * * * *": `schedule "61 * * * *"`, "sometimes": "want daily, weekly or five cron fields"} {
		var out bytes.Buffer
		code := Main(context.Background(), []string{"image", "build", "--schedule", schedule}, strings.NewReader(""), &out, &out, []string{
			"PROXMOX_URL=https://127.0.0.1:1", "PROXMOX_NODE=pve1", "PROXMOX_TOKEN_ID=mayfly@pve!build", "PROXMOX_TOKEN_SECRET=not-to-be-seen", "GITHUB_TOKEN=nor-this",
		})
		if code != ExitUsage || !strings.Contains(out.String(), says) {
			t.Errorf("%s: exit code %d:\n%s", schedule, code, out.String())
		}
	}
}
