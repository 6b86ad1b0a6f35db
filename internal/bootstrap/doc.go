// Package bootstrap puts the dispatcher into an LXC container of Proxmox VE through the API alone. The API has no call
// that runs a command or writes a file in a container, so what the dispatcher needs is added to the archive that the
// container is made of.
package bootstrap
