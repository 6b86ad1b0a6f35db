package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"mayfly/internal/fleet"
	"mayfly/internal/web"
)

const (
	// heraldPeriod is how often the fleet's state is looked at for news.
	heraldPeriod = 250 * time.Millisecond
	// heraldPatience is how long the first look at both sides may take before systemd is told "ready" anyway: a
	// side that hangs is a matter for /readyz, not for a restart after TimeoutStartSec (90 s).
	heraldPatience = 20 * time.Second
)

// herald tells the log and systemd what becomes of the fleet: ready or not and why, alive, stopping.
type herald struct {
	fleet  web.Fleet
	log    *slog.Logger
	notify notifier

	started bool      // systemd knows that we are up
	ready   bool      // what the log was last told
	line    string    // the last STATUS
	alive   time.Time // the last sign of life
}

// notifier is systemd, or a test.
type notifier struct {
	// send passes a state on, as sd_notify(3) does.
	send func(state string)
	// watchdog is within what time systemd wants a sign of life; 0 is never.
	watchdog time.Duration
}

// run tells until ctx ends, and once that this is the end, as soon as told is over.
func (h *herald) run(ctx, told context.Context) {
	tick := time.NewTicker(heraldPeriod)
	defer tick.Stop()
	began, stop := time.Now(), told.Done()
	for {
		s, now := h.fleet.Status(), time.Now()
		if looked(s.Proxmox) && (looked(s.GitHub) || s.Standby != "") || now.Sub(began) > heraldPatience {
			h.tell(s, now)
		}
		select {
		case <-ctx.Done():
			if stop != nil {
				h.notify.send(daemon.SdNotifyStopping)
			}
			return
		case <-stop:
			h.notify.send(daemon.SdNotifyStopping)
			stop = nil
		case <-tick.C:
		}
	}
}

// looked reports whether the side has answered, well or badly.
func looked(h fleet.Health) bool { return h.OK || !h.Since.IsZero() }

func (h *herald) tell(s fleet.Status, now time.Time) {
	switch {
	case s.Ready && !h.ready:
		h.log.Info("ready", "runners", len(s.Runners), "waiting", len(s.Waiting))
	case !s.Ready && (h.ready || !h.started):
		h.log.Warn("not ready", "reason", strings.Join(brief(s), "; "))
	}
	h.ready = s.Ready
	if !h.started {
		h.started = true
		h.notify.send(daemon.SdNotifyReady)
	}
	if line := headline(s); line != h.line {
		h.line = line
		h.notify.send("STATUS=" + line)
	}
	// Half of what systemd allows, as sd_watchdog_enabled(3) recommends.
	if h.notify.watchdog > 0 && now.Sub(h.alive) >= h.notify.watchdog/2 && web.Stalled(s, now) == "" {
		h.alive = now
		h.notify.send(daemon.SdNotifyWatchdog)
	}
}

// brief is why the fleet isn't ready, without what the controller's own lines say of a side that doesn't answer.
func brief(s fleet.Status) []string {
	var reasons []string
	for side, h := range map[string]fleet.Health{"proxmox": s.Proxmox, "github": s.GitHub} {
		if !h.OK && (looked(h) || s.Standby == "") {
			reasons = append(reasons, side+" doesn't answer as it should")
		}
	}
	for _, r := range s.Reasons {
		if !strings.HasPrefix(r, "proxmox: ") && !strings.HasPrefix(r, "github: ") {
			reasons = append(reasons, r)
		}
	}
	slices.Sort(reasons)
	return reasons
}

// headline is the fleet in one line.
func headline(s fleet.Status) string {
	line := fmt.Sprintf("%s, %s", count(len(s.Runners), "runner"), count(len(s.Waiting), "waiting job"))
	if s.Ready {
		return "ready; " + line
	}
	return fmt.Sprintf("not ready: %s; %s", strings.Join(s.Reasons, "; "), line)
}

// count is "1 job", "2 jobs".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// systemd is the service manager, where there is one. go-systemd takes its address from the process itself
// (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID): the one thing that isn't handed to [Main].
func systemd(log *slog.Logger) notifier {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog is not served", "reason", err)
	}
	return notifier{watchdog: watchdog, send: func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			log.Debug("systemd not notified", "reason", err)
		}
	}}
}
