// Package page writes the figures of benchmarks into docs/performance.md, each between marks of its own, and says on what
// machine they were measured. Only benchmarks import it.
package page
