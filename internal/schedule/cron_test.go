package schedule_test

import (
	"time"

	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"
)

// cronRuns reports whether package cron would run something at that minute.
func cronRuns(t *rapid.T, fields string, minute time.Time) bool {
	t.Helper()
	s, err := cron.ParseStandard("TZ=UTC " + fields)
	if err != nil {
		t.Fatal(err)
	}
	return s.Next(minute.Add(-time.Second)).Equal(minute)
}
