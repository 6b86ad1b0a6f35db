package fleet

import "time"

// health is how one side answers.
type health struct {
	lastOK   time.Time
	failures int
	err      error
	since    time.Time
}

// partly notes an answer that lacks something.
func (h *health) partly(err error, now time.Time) {
	h.fail(err, now)
	h.lastOK, h.failures = now, 0
}

// ok notes an answer and reports whether it ends a time of trouble.
func (h *health) ok(now time.Time) bool {
	troubled := h.err != nil
	*h = health{lastOK: now}
	return troubled
}

// fail notes a failure and reports whether it is news: the first one, or one with other words than the last.
func (h *health) fail(err error, now time.Time) bool {
	news := h.err == nil || h.err.Error() != err.Error()
	if h.err == nil {
		h.since = now
	}
	h.failures++
	h.err = err
	return news
}

func (h *health) status() Health {
	s := Health{OK: h.failures == 0 && !h.lastOK.IsZero(), LastOK: h.lastOK}
	if h.err != nil {
		s.Error, s.Since = h.err.Error(), h.since
	} else if !s.OK {
		s.Error = "not looked at yet"
	}
	return s
}
