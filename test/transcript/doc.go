// Package transcript keeps what `mayfly up` printed in an end-to-end test the same as what the pages show of it, apart from
// figures: times, sizes, names that are made at random.
package transcript
