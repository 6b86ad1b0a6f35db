package fleet

import (
	"time"

	"mayfly/internal/runner"
)

// ghostShare is how many idle timeouts a runner may be online while a job waits that it could take. GitHub gives a job to
// an idle runner within seconds. One that never starts what it is given (actions/runner#4617) gets the job anew each
// minute, and would keep it, and a place of its pool, for ever.
const ghostShare = 2

// ghost says why a runner goes that stays idle though a job waits. GitHub, asked to remove it, refuses if a job runs on it.
func (p *planner) ghost(e *entry, pool runner.Pool) string {
	since := e.online
	if waits := p.waits[e.pool]; waits.After(since) {
		since = waits
	}
	limit := ghostShare * pool.IdleTimeout
	return p.afterReading(e, since.Add(limit), "it has been idle for %s while a job waited", limit.Round(time.Second))
}
