// Package setup makes a configuration out of answers: it asks for what a mayfly.yaml needs, tries each answer on Proxmox VE or
// GitHub before it asks for the next, and gives the files to write. `mayfly init` is its command, and `mayfly up` calls it where
// there is no configuration.
//
// The steps run in a fixed order ([Ask]): Proxmox's address and certificate, its token, what is in the cluster, GitHub's
// repository and token, then what is made of it. A step is a [question] or several that belong together.
//
// The invariant: nothing is written before [Files.Write], and nothing on either server is changed at all. A secret is shown
// neither while it is typed nor later.
package setup
