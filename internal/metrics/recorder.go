package metrics

import (
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mayfly/internal/fleet"
	"mayfly/internal/github"
)

// Build is what the running program is.
type Build struct{ Version, Commit, Go string }

// Sources are read when somebody asks for the metrics.
type Sources struct {
	Status func() fleet.Status
	// Budget tells GitHub's limits; nil leaves them out.
	Budget func() github.Budget
}

// Recorder keeps the figures. Make one with [New]; it may be used by many at once, and nothing of it blocks.
type Recorder struct {
	registry *prometheus.Registry
	sources  atomic.Pointer[Sources]

	stages                        *prometheus.HistogramVec
	failures, polls, pollFailures *prometheus.CounterVec
	lastPoll                      *prometheus.GaugeVec
	requests                      *prometheus.CounterVec
	requestDuration               *prometheus.HistogramVec
	inFlight                      *prometheus.GaugeVec
}

// stageBuckets go from a second to six hours: a see takes seconds, a job hours.
var stageBuckets = []float64{1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600}

// requestBuckets go from a reply on the same machine to Proxmox's own proxy giving up (30 s).
var requestBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New returns a recorder that has nothing to tell of the fleet before [Recorder.Watch].
func New(b Build) *Recorder {
	r := &Recorder{registry: prometheus.NewRegistry()}
	r.stages = histogram(stageDuration, stageBuckets)
	r.failures, r.polls, r.pollFailures = counter(failures), counter(polls), counter(pollFailures)
	r.lastPoll, r.inFlight = gauge(lastPoll), gauge(apiInFlight)
	r.requests, r.requestDuration = counter(apiRequests), histogram(apiDuration, requestBuckets)
	info := gauge(buildInfo)
	info.WithLabelValues(b.Version, b.Commit, b.Go).Set(1)
	r.registry.MustRegister(info, r.stages, r.failures, r.polls, r.pollFailures, r.lastPoll, r.requests, r.requestDuration,
		r.inFlight, &snapshot{sources: &r.sources}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Watch has the recorder read the sources from now on.
func (r *Recorder) Watch(s Sources) { r.sources.Store(&s) }

// Handler serves the figures in Prometheus's text format, or OpenMetrics for those who ask for it.
func (r *Recorder) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes,
	})
}

// maxScrapes bounds how many readers are served at once.
const maxScrapes = 4

// Gatherer is where the figures are gathered from.
func (r *Recorder) Gatherer() prometheus.Gatherer { return r.registry }

// Passed counts a stage.
func (r *Recorder) Passed(p fleet.Passage) {
	r.stages.WithLabelValues(string(p.Stage), p.Pool, p.Node, string(p.Result)).Observe(p.Took.Seconds())
}

// Failed counts a failure.
func (r *Recorder) Failed(f fleet.Failure) {
	r.failures.WithLabelValues(string(f.Stage), string(f.Cause), f.Pool, f.Node).Inc()
}

// Polled counts a poll.
func (r *Recorder) Polled(p fleet.Poll) {
	r.polls.WithLabelValues(p.Source, p.Target).Inc()
	failed := r.pollFailures.WithLabelValues(p.Source, p.Target) // so that it is there before the first
	if !p.OK {
		failed.Inc()
		return
	}
	r.lastPoll.WithLabelValues(p.Source, p.Target).Set(float64(p.At.UnixMilli()) / 1000)
}

func counter(m Metric) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func gauge(m Metric) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func histogram(m Metric, buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: buckets}, m.Labels)
}
