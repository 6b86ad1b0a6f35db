// Package packer checks the Packer templates of runners, without Packer: its plugins come from the network, and its
// builder wants a Proxmox. The templates are read and evaluated with HashiCorp's own HCL library, their arguments are
// compared with those that the builder has, and what comes out (the answers for Ubuntu's installer, the settings of
// runners/common) is checked as what it is.
//
// With the build tag schema, which `make lint` sets, cloud-init itself reads all user-data of this tree, and shellcheck the
// shell in it.
//
// The invariant: what these tests take, `packer validate` takes.
package packer
