// Package contract holds the stand-ins and clients against what others wrote down: GitHub's OpenAPI description, the API
// documentation of Proxmox VE, and replies recorded from real servers. It has no code of its own; testdata says where
// each of its files comes from.
package contract
