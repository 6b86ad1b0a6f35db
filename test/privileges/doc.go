// Package privileges proves docs/roles.yaml: with a token that may do exactly what the file says, each command does its work on
// a stand-in of Proxmox VE 8.4 and of 9; and with each privilege taken away, mayfly check names it with its path, and so does
// the error of the call that is refused for it. The expectations are the file's, its words on what happens without a privilege
// included. All of it is in virtual time.
package privileges
