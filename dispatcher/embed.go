// Package dispatcher holds what it takes to run the dispatcher. Its Go part only puts the units that `mayfly bootstrap`
// writes into a container into the binary.
package dispatcher

import _ "embed" // for the units

// Unit is mayfly.service.
//
//go:embed mayfly.service
var Unit []byte

// FirstStartUnit is mayfly-first-start.service: it opens the secrets that came with a container's archive.
//
//go:embed container/mayfly-first-start.service
var FirstStartUnit []byte

// ContainerDropIn is a drop-in of mayfly.service for an unprivileged LXC container. The line that tells the container's
// VMID comes behind it.
//
//go:embed container/mayfly.service.d/container.conf
var ContainerDropIn []byte
