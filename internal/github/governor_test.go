package github

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// budgeted is a fake with an hourly budget of its own.
type budgeted struct {
	*fake
	mu        sync.Mutex
	limit     int
	remaining int
	reset     time.Time
	resource  string
	lowest    int
}

func budget(f *fake, limit, remaining int, reset time.Time) *budgeted {
	return &budgeted{fake: f, limit: limit, remaining: remaining, lowest: remaining, reset: reset, resource: core}
}

func (b *budgeted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	if !time.Now().Before(b.reset) {
		b.remaining, b.reset = b.limit, b.reset.Add(time.Hour)
	}
	refuse := b.remaining == 0
	if !refuse {
		b.remaining--
	}
	b.lowest = min(b.lowest, b.remaining)
	for k, v := range rateHeaders(strconv.Itoa(b.limit), strconv.Itoa(b.remaining), strconv.FormatInt(b.reset.Unix(), 10), b.resource) {
		w.Header()[k] = v
	}
	b.mu.Unlock()
	if refuse {
		b.note(r, "403")
		say(w, http.StatusForbidden, object{"message": "API rate limit exceeded for user ID 1.", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"})
		return
	}
	b.fake.ServeHTTP(w, r)
}

// limitedUntil fails the test unless err is a RateLimited of that time.
func limitedUntil(t *testing.T, err error, want time.Time) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != RateLimited {
		t.Fatalf("not RateLimited: %v", err)
	}
	if !e.RetryAt.Equal(want) {
		t.Fatalf("next try in %v, want %v: %v", time.Until(e.RetryAt), time.Until(want), err)
	}
}

func TestListsLeaveTheReserveToRunnersThatNeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.noETags = true
		f.addRunner(1, "old", "offline", false)
		reset := time.Now().Add(40 * time.Minute)
		b := budget(f, 5000, 210, reset)
		c := newClient(t, b)
		var err error
		n := 0
		for ; err == nil; n++ {
			_, err = c.Runners(t.Context(), octo)
		}
		if n != 11 || b.lowest != 200 {
			t.Errorf("refused at call %d with %d left, want the 200 of the reserve kept: %v", n, b.lowest, err)
		}
		limitedUntil(t, err, reset.Add(afterReset))
		if !strings.Contains(err.Error(), "kept for runners") {
			t.Errorf("unclear: %v", err)
		}
		if _, err := c.Jobs(t.Context(), octo); !errors.Is(err, RateLimited) {
			t.Errorf("Jobs is a list, too: %v", err)
		}
		if got := c.Budget(); got.Remaining != 200 || got.Limit != 5000 || !got.Reset.Equal(reset) || !got.PausedUntil.Equal(reset.Add(afterReset)) || got.PausedWhy == "" {
			t.Errorf("%+v", got)
		}
		if _, err := c.CreateJITConfig(t.Context(), octo, "new", []string{"self-hosted"}, 1); err != nil {
			t.Errorf("an identity may use the reserve: %v", err)
		}
		if _, err := c.Runner(t.Context(), octo, 1); err != nil {
			t.Errorf("a look at one runner may use the reserve: %v", err)
		}
		if err := c.RemoveRunner(t.Context(), octo, 1); err != nil {
			t.Errorf("a removal may use the reserve: %v", err)
		}
		time.Sleep(time.Until(reset.Add(afterReset)))
		if _, err := c.Runners(t.Context(), octo); err != nil {
			t.Errorf("after the reset: %v", err)
		}
		if got := c.Budget(); !got.PausedUntil.IsZero() || got.PausedWhy != "" {
			t.Errorf("after the reset: %+v", got)
		}
	})
}

func TestListsAtOnceDontEatIntoTheReserveTogether(t *testing.T) {
	f := newFake(t)
	f.noETags = true
	for i := range 40 {
		f.addRun(int64(i+1), "queued", queued(int64(i+1)*10))
	}
	b := budget(f, 5000, 220, time.Now().Add(time.Hour))
	c := newClient(t, b)
	if _, err := c.Jobs(t.Context(), octo); !errors.Is(err, RateLimited) {
		t.Errorf("%v", err)
	}
	if b.lowest < 200 {
		t.Errorf("%d left of the 200 kept", b.lowest)
	}
}

func TestNothingIsAskedOnceTheHourIsUsedUp(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				reset := time.Now().Add(25 * time.Minute)
				spent := true
				f.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					if spent {
						for k, v := range rateHeaders("5000", "0", strconv.FormatInt(reset.Unix(), 10), "core") {
							w.Header()[k] = v
						}
						say(w, status, object{"message": "API rate limit exceeded for user ID 1."})
					}
					return spent
				}
				c := newClient(t, f)
				err := c.RemoveRunner(t.Context(), octo, 1)
				limitedUntil(t, err, reset.Add(afterReset))
				var e *Error
				if errors.As(err, &e); e.Status != status {
					t.Errorf("status %d", e.Status)
				}
				_, err = c.CreateJITConfig(t.Context(), octo, "new", []string{"x"}, 1)
				limitedUntil(t, err, reset.Add(afterReset))
				if n := len(f.log()); n != 1 {
					t.Errorf("GitHub was asked %d times", n)
				}
				time.Sleep(time.Until(reset) + afterReset)
				spent = false
				if _, err := c.CreateJITConfig(t.Context(), octo, "new", []string{"x"}, 1); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSmallBudgetIsNotAllReserve(t *testing.T) {
	f := newFake(t)
	f.noETags = true
	b := budget(f, 60, 60, time.Now().Add(time.Hour))
	c := newClient(t, b)
	for i := range 30 {
		if _, err := c.Runners(t.Context(), octo); err != nil {
			t.Fatalf("list %d: %v", i+1, err)
		}
	}
	if _, err := c.Runners(t.Context(), octo); !errors.Is(err, RateLimited) || b.lowest != 30 {
		t.Errorf("half of a small budget is kept: %d left, %v", b.lowest, err)
	}
}

func TestRegistrationsBudgetOfItsOwnStopsNothingElse(t *testing.T) {
	f := newFake(t)
	c := newClient(t, f)
	reset := time.Now().Add(time.Hour)
	f.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if !registers(r) {
			return false
		}
		for k, v := range rateHeaders("10000", "0", strconv.FormatInt(reset.Unix(), 10), "actions_runner_registration") {
			w.Header()[k] = v
		}
		say(w, http.StatusForbidden, object{"message": "API rate limit exceeded"})
		return true
	}
	for range 2 {
		if _, err := c.CreateJITConfig(t.Context(), octo, "new", []string{"x"}, 1); !errors.Is(err, RateLimited) {
			t.Errorf("%v", err)
		}
	}
	if n := f.count("generate-jitconfig 403"); n != 1 {
		t.Errorf("GitHub was asked %d times for an identity", n)
	}
	if _, err := c.Jobs(t.Context(), octo); err != nil {
		t.Errorf("jobs count for another budget: %v", err)
	}
}

func TestUnusedConditionalRequestsKeepTheBudget(t *testing.T) {
	f := newFake(t)
	f.addRun(1, "queued", queued(10))
	c := newClient(t, f)
	for range 50 {
		if _, err := c.Jobs(t.Context(), octo); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.count(" 200"); n != 5 {
		t.Errorf("%d full replies of %d, want the 5 of the first read", n, len(f.log()))
	}
}

func TestRepliesThatOvertakeEachOtherDontRaiseTheBudget(t *testing.T) {
	g := newGovernor(nil, 0, 0, func() time.Duration { return 0 })
	reset := noon.Add(time.Hour)
	for _, a := range []allowance{{5000, 4000, reset}, {5000, 4002, reset}, {5000, 4001, reset.Add(time.Second)}} {
		g.note(core, a)
	}
	if got := g.budgets[core].remaining; got != 4000 {
		t.Errorf("%d left", got)
	}
	g.note(core, allowance{5000, 4999, reset.Add(time.Hour)})
	g.note(core, allowance{5000, 3, reset}) // from the hour before
	if got := g.budgets[core].remaining; got != 4999 {
		t.Errorf("a new hour: %d left", got)
	}
}

func TestSecondaryLimitPausesEverything(t *testing.T) {
	secondary := object{
		"message":           "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
		"documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
	}
	cases := map[string]struct {
		status     int
		body       any
		retryAfter string
		want       time.Duration
	}{
		"403 with Retry-After":        {http.StatusForbidden, secondary, "90", 90 * time.Second},
		"429 with Retry-After":        {http.StatusTooManyRequests, secondary, "90", 90 * time.Second},
		"403 with the message only":   {http.StatusForbidden, secondary, "", time.Minute},
		"429 with the message only":   {http.StatusTooManyRequests, secondary, "", time.Minute},
		"429 without a word":          {http.StatusTooManyRequests, nil, "", time.Minute},
		"403 about abuse":             {http.StatusForbidden, object{"message": "You have triggered an abuse detection mechanism."}, "", time.Minute},
		"403 with the address only":   {http.StatusForbidden, object{"message": "Slow down", "documentation_url": secondary["documentation_url"]}, "", time.Minute},
		"403 of a proxy, Retry-After": {http.StatusForbidden, nil, "5", 5 * time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.addRunner(1, "r", "offline", false)
				on := true
				f.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					if on {
						if tc.retryAfter != "" {
							w.Header().Set("Retry-After", tc.retryAfter)
						}
						say(w, tc.status, tc.body)
					}
					return on
				}
				c := newClient(t, f)
				until := time.Now().Add(tc.want)
				_, err := c.Runners(t.Context(), octo)
				limitedUntil(t, err, until)
				on = false
				time.Sleep(tc.want - time.Millisecond)
				err = c.RemoveRunner(t.Context(), octo, 1)
				limitedUntil(t, err, until)
				if got := c.Budget(); !got.PausedUntil.Equal(until) || got.PausedWhy == "" {
					t.Errorf("%+v", got)
				}
				if n := len(f.log()); n != 1 {
					t.Errorf("asked %d times during the pause", n)
				}
				time.Sleep(time.Millisecond)
				if err := c.RemoveRunner(t.Context(), octo, 1); err != nil {
					t.Errorf("after the pause: %v", err)
				}
			})
		})
	}
}

func TestSecondaryLimitThatGoesOnPausesLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		on := true
		f.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			if on {
				say(w, http.StatusForbidden, object{"message": "You have exceeded a secondary rate limit."})
			}
			return on
		}
		c := newClient(t, f)
		for _, want := range []int{1, 2, 4, 8, 16, 32, 32, 32} {
			_, err := c.Runners(t.Context(), octo)
			pause := time.Duration(want) * time.Minute
			limitedUntil(t, err, time.Now().Add(pause))
			time.Sleep(pause)
		}
		on = false
		if _, err := c.Runners(t.Context(), octo); err != nil {
			t.Fatal(err)
		}
		on = true
		_, err := c.Runners(t.Context(), octo)
		limitedUntil(t, err, time.Now().Add(time.Minute))
	})
}

func TestRefusalsOfRequestsUnderWayTogetherCountOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		for i := range 8 {
			f.addRun(int64(i+1), "queued", queued(int64(i+1)*10))
		}
		f.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/jobs") {
				time.Sleep(time.Second)
				say(w, http.StatusForbidden, object{"message": "You have exceeded a secondary rate limit."})
				return true
			}
			return false
		}
		c := newClient(t, f)
		_, err := c.Jobs(t.Context(), octo)
		limitedUntil(t, err, time.Now().Add(time.Minute))
		if got := c.Budget().PausedUntil; !got.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("paused for %v", time.Until(got))
		}
	})
}

func TestChangesKeepTheirPaceWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := newClient(t, f, func(o *Options) { o.Pace = 0 })
		mint := func(i int) error {
			_, err := c.CreateJITConfig(t.Context(), octo, fmt.Sprintf("r-%d", i), []string{"x"}, 1)
			return err
		}
		start := time.Now()
		if err := mint(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		// Everyone refused is told a slot of its own.
		for i := 1; i <= 5; i++ {
			limitedUntil(t, mint(i+1), start.Add(time.Duration(i)*time.Second))
		}
		if d := time.Since(start); d != 300*time.Millisecond {
			t.Errorf("%v went by inside calls", d)
		}
		for i := 1; i <= 5; i++ {
			time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second)))
			if err := mint(i + 1); err != nil {
				t.Errorf("in its slot: %v", err)
			}
		}
		if _, err := c.Runners(t.Context(), octo); err != nil {
			t.Errorf("reads have no pace: %v", err)
		}
	})
}

func TestCallerThatDoesNotListenDoesNotPushTheSlotsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, newFake(t), func(o *Options) { o.Pace = 0 })
		_, _ = c.CreateRegistrationToken(t.Context(), octo)
		for range 10 * maxPromises {
			var e *Error
			_, err := c.CreateRegistrationToken(t.Context(), octo)
			if !errors.As(err, &e) || time.Until(e.RetryAt) > maxPromises*time.Second || !e.RetryAt.After(time.Now()) {
				t.Fatalf("%v", err)
			}
		}
	})
}

func TestFastClockOfOursDoesNotEndAPauseEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = -10 * time.Minute // GitHub's clock is behind ours
		f := newFake(t)
		f.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			server := time.Now().Add(slow)
			w.Header().Set("Date", server.UTC().Format(http.TimeFormat))
			for k, v := range rateHeaders("5000", "0", strconv.FormatInt(server.Add(5*time.Minute).Unix(), 10), "core") {
				w.Header()[k] = v
			}
			say(w, http.StatusForbidden, object{"message": "API rate limit exceeded"})
			return true
		}
		c := newClient(t, f)
		_, err := c.Runners(t.Context(), octo)
		var e *Error
		if !errors.As(err, &e) || e.Kind != RateLimited || (time.Until(e.RetryAt)-5*time.Minute).Abs() > 2*time.Second {
			t.Errorf("next try in %v, want 5m: %v", time.Until(e.RetryAt), err)
		}
		if d := (c.Skew() - slow).Abs(); d > time.Second {
			t.Errorf("skew %v, want about %v", c.Skew(), slow)
		}
	})
}
