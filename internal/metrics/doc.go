// Package metrics turns what the fleet tells into figures for Prometheus: how long each stage of a runner's life takes,
// what is there, what waits and why, what the APIs of both sides are asked. docs/metrics.md lists them all.
//
// `mayfly run` makes one [Recorder], gives it to the controller as its observer, puts it before the transports of both
// clients, and serves its [Recorder.Handler] at /metrics.
//
// The invariant: no series names a job or a runner, so that the number of series doesn't grow with the work done; labels
// come from the configuration or from closed lists.
package metrics
