// Package guides checks the guides at the root and in docs: that their commands are what Proxmox VE takes, that the
// permissions that they give are enough for what they say, and that their links lead somewhere.
package guides
