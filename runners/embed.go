// Package runners holds what goes into runner VMs and their templates. Its Go part only puts the files that `mayfly`
// needs at run time into the binary.
package runners

import "embed"

// UserDataTemplate is ubuntu-2204/cloud-init/runner-user-data.pkrtpl: cloud-init user-data with the variables
// ${repo_url}, ${registration_token}, ${runner_labels}, ${runner_name}, ${runner_user}, ${jit_config}, ${pool_name},
// ${jobs_repositories}, ${jobs_events} and ${jobs_forks}. It serves where the file that the configuration names isn't
// there.
//
//go:embed ubuntu-2204/cloud-init/runner-user-data.pkrtpl
var UserDataTemplate string

// Common is the folder common: run-once.sh, and the scripts that make a runner image of a root file system.
//
//go:embed common/*.sh common/provision.d
var Common embed.FS
