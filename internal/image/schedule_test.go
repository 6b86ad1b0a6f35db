package image

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSchedulesAreReadAndOthersRefused(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) // a Wednesday
	for text, want := range map[string]string{
		"weekly": "Sun 29 03:17", "daily": "Thu 26 03:17", "30 4 * * 1": "Mon 30 04:30", "0 5 1 * *": "Tue 1 05:00", "0 */6 * * *": "Wed 25 18:00",
	} {
		s, err := ParseSchedule(text)
		if err != nil || s.Next(at).Format("Mon 2 15:04") != want {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "monthly", "60 * * * *", "* * * *", "@every 1s", "* * * * * *"} {
		if _, err := ParseSchedule(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestAFailedBuildIsTriedAgainTheNextDayAndABusyOneInAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		weekly, err := ParseSchedule("0 3 * * 0")
		if err != nil {
			t.Fatal(err)
		}
		var built []string
		results := map[string][]error{"a": {errors.New("no"), ErrBusy, nil, nil}, "b": {nil, nil}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*24*time.Hour)
		defer cancel()
		Scheduled{
			Schedule: weekly, Images: []string{"a", "b"}, Logger: slog.New(slog.DiscardHandler),
			Build: func(_ context.Context, image string) error {
				built = append(built, image+time.Now().Local().Format(" Mon 2 15:00"))
				err := results[image][0]
				results[image] = results[image][1:]
				return err
			},
		}.Run(ctx)
		want := []string{"a Sun 2 03:00", "b Sun 2 03:00", "a Mon 3 03:00", "a Mon 3 04:00", "a Sun 9 03:00", "b Sun 9 03:00"}
		if !slices.Equal(built, want) {
			t.Errorf("built at %s, want %s", strings.Join(built, ", "), strings.Join(want, ", "))
		}
	})
}
