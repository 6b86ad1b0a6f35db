// Package cloudinit fills in the user-data that boots a VM with its identity: a cloud-init template, the shipped one or
// the user's, with the placeholders of Packer's templatefile (${runner_name}, $${ for a plain ${).
//
// The configuration parses and checks a template at start-up, before any VM exists; the snippet and iso hand-offs render
// it, once for each VM.
//
// Two kinds of user-data are taken: #cloud-config and #! scripts. cloud-init knows more (MIME archives, includes,
// boothooks, part handlers, Jinja), but those can't be checked here, and one of them that is broken shows only as a VM
// that never registers.
//
// The invariant: a value never leaves the YAML scalar that its placeholder stands in. It is quoted for the style of that
// scalar, and every rendering is parsed again and compared with the template, scalar by scalar, before it is given out.
// Where a placeholder is only a part of a scalar, which may be shell code, and in scripts, values of harmless characters
// alone are taken. What is rendered is a [runner.Secret], and no error quotes a secret.
package cloudinit
