package image

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when images are built anew.
type Schedule struct{ at cron.Schedule }

// ParseSchedule reads "weekly" (Sunday, 03:17), "daily" (03:17) or five cron fields, in local time.
func ParseSchedule(s string) (Schedule, error) {
	switch s {
	case "weekly":
		s = "17 3 * * 0"
	case "daily":
		s = "17 3 * * *"
	}
	at, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(s)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w; want daily, weekly or five cron fields, for example 30 4 * * 1", s, err)
	}
	return Schedule{at}, nil
}

// Next is the first time after t; the zero time when there is none.
func (s Schedule) Next(t time.Time) time.Time { return s.at.Next(t) }

const (
	// retryAfter is how long after a failure an image is tried again, unless its time comes earlier.
	retryAfter = 24 * time.Hour
	// busyAfter is how soon it is tried again when another build was under way.
	busyAfter = time.Hour
	// longestDelay spreads installations with the same schedule, so that vendors' mirrors don't get them all at once.
	longestDelay = 20 * time.Minute
)

// Scheduled builds images by schedule.
type Scheduled struct {
	Schedule Schedule
	Images   []string
	// Build builds one image.
	Build func(ctx context.Context, image string) error
	// Failed hears what became of each build: nil after a good one. May be nil.
	Failed func(image string, err error)
	// Spread is what installations differ in: their name.
	Spread string
	Logger *slog.Logger
}

// Run builds until ctx ends, one image after the other. A build that fails is tried again a day later.
func (s Scheduled) Run(ctx context.Context) {
	due := map[string]time.Time{}
	for _, image := range s.Images {
		due[image] = s.next(time.Now())
	}
	for {
		image, at := s.first(due)
		if image == "" {
			<-ctx.Done()
			return
		}
		s.Logger.Info("image build planned", "image", image, "at", at.Format(time.RFC3339))
		if !pause(ctx, max(time.Until(at), 0)) {
			return
		}
		err := s.Build(ctx, image)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		due[image] = s.next(now)
		switch {
		case errors.Is(err, ErrBusy):
			due[image] = soonest(due[image], now.Add(busyAfter))
			s.Logger.Info("image build put off", "image", image, "reason", err)
			continue
		case err != nil:
			due[image] = soonest(due[image], now.Add(retryAfter))
			s.Logger.Warn("image build failed", "image", image, "reason", err, "again", due[image].Format(time.RFC3339))
		}
		if s.Failed != nil {
			s.Failed(image, err)
		}
	}
}

// next is the schedule's next time, a little later.
func (s Scheduled) next(t time.Time) time.Time {
	at := s.Schedule.Next(t)
	if at.IsZero() {
		return at
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.Spread)) // never fails
	return at.Add(time.Duration(h.Sum32()) % longestDelay)
}

// first is the image whose time comes first, in the order of Images.
func (s Scheduled) first(due map[string]time.Time) (string, time.Time) {
	name, at := "", time.Time{}
	for _, image := range s.Images {
		if t := due[image]; !t.IsZero() && (name == "" || t.Before(at)) {
			name, at = image, t
		}
	}
	return name, at
}

func soonest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
