package cloudinit_test

import (
	"fmt"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
)

func Example() {
	tmpl, err := cloudinit.Parse("mine.yaml", `#cloud-config
write_files:
  - path: /run/identity
    permissions: "0600"
    content: ${jit_config}
runcmd:
  - [sh, -c, '/opt/actions-runner/run-once.sh --jit "$1" </run/identity', seed, "${runner_name}"]
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := tmpl.Render(cloudinit.Values{
		RepoURL: "https://github.com/NREL/EnergyPlus", Name: "ep-0123456789", User: "runner", JITConfig: runner.NewSecret("eyJhIjoiYiJ9"),
	})
	fmt.Println(tmpl.Needs(), data, err)
	// Output: JIT config *** <nil>
}
