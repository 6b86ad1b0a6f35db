package runner_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mayfly/internal/runner"
)

func TestDispatcherMarkerSurvivesWhatIsWrittenBeforeItAndNothingElse(t *testing.T) {
	m := runner.DispatcherMarker{
		Installation: "ep", VMID: 190, Created: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Version: "1.2.3", Contents: "c0ffee",
	}
	text := m.Description()
	for _, text := range []string{text, "GitHub can't be reached: no route\n" + text, strings.TrimSuffix(text, "\n")} {
		if got, err := runner.ParseDispatcherMarker(text); err != nil || got != m {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for name, text := range map[string]string{
		"two":             text + text,
		"none of a VM":    "mayfly-marker:{}\n",
		"not JSON":        "mayfly-dispatcher:{",
		"no installation": strings.Replace(text, `"ep"`, `"E P"`, 1),
		"no VMID":         strings.Replace(text, "190", "0", 1),
		"no time":         strings.Replace(text, "2026-", "1900-", 1),
	} {
		if got, err := runner.ParseDispatcherMarker(text); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, err := runner.ParseDispatcherMarker("of a person"); !errors.Is(err, runner.ErrNoMarker) {
		t.Error(err)
	}
}
