// Package web is what Mayfly shows over HTTP: so far /healthz and /readyz, as JSON, for people and for monitors.
//
// `mayfly run` serves it on a loopback address. It reads the fleet's status and changes nothing.
package web
