// Package download brings a file from a web server to this machine, and takes it up again where it broke off. It is for
// large files that come once: images and container templates.
//
// The invariant: after [Rest] returned nil the file holds what the server has, or, with Options.Checked, what its
// checksum will decide over.
package download
