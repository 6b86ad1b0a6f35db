// Package web is what Mayfly shows over HTTP: /healthz, /readyz and /status as JSON, for people and for
// monitors, and /metrics for Prometheus.
//
// `mayfly run` serves it on a loopback address. It reads the fleet's status and changes nothing.
package web
