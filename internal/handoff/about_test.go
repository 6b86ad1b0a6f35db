package handoff_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
)

func TestImageTellsOfItselfAsFarAsItCan(t *testing.T) {
	gone := &proxmox.Error{Kind: proxmox.NotFound, Message: "No such file or directory"}
	silent := &proxmox.Error{Kind: proxmox.Unavailable, Message: "QEMU guest agent is not running"}
	for _, tc := range []struct {
		name  string
		guest guest
		want  handoff.About
		err   error
		words string
	}{
		{
			name:  "all",
			guest: guest{file: `{"image":"ubuntu-2204","version":"20261120-0400","runner_version":"2.335.1","runner_released":"2026-11-10","contract":2,"built_at":"2026-11-20T04:00:00Z"}`},
			want: handoff.About{
				Image: "ubuntu-2204", Version: "20261120-0400", RunnerVersion: "2.335.1", RunnerReleased: time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC),
			},
		},
		{name: "day unknown", guest: guest{file: `{"runner_version":"2.335.1","runner_released":""}`}, want: handoff.About{RunnerVersion: "2.335.1"}},
		{name: "no file", guest: guest{fileErr: gone}},
		{name: "agent silent", guest: guest{fileErr: silent}, err: proxmox.Unavailable},
		{name: "no JSON", guest: guest{file: "hello"}, words: "read /opt/actions-runner/mayfly.json of VM 200: invalid character"},
		{name: "no day", guest: guest{file: `{"runner_released":"10 November"}`}, words: "want a day like 2026-01-31"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := handoff.NewAgent(&tc.guest, handoff.AgentOptions{}).About(t.Context(), vm)
			switch {
			case tc.err == nil && tc.words == "" && err != nil,
				tc.err != nil && !errors.Is(err, tc.err),
				tc.words != "" && (err == nil || !strings.Contains(err.Error(), tc.words)):
				t.Errorf("error %v, want %v with %q", err, tc.err, tc.words)
			}
			if got != tc.want {
				t.Errorf("tells %+v, want %+v", got, tc.want)
			}
		})
	}
}
