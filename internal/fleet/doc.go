// Package fleet keeps a fleet of one-job runners in step with the jobs that wait: observe, plan, act, again and again.
//
//	observe   Proxmox (VMs, tasks), then GitHub (registrations, then jobs): gather.go, image.go
//	plan      a pure function over what was observed and the ledger: plan.go, circuit.go, vmid.go, claim.go
//	act       one idempotent step per action, each with a deadline: clone.go, configure.go, boot.go, register.go,
//	          result.go, inspect.go, destroy.go
//
// One goroutine, [Controller.Run], owns all state; the gatherer and the steps are goroutines that it starts, waits
// for, and hears from through one inbox. What is kept in memory between passes is the ledger (ledger.go); losing it
// costs some minutes, never a runner or a job. That a second process works on the installation is noticed by its markers
// (rival.go), and the later of the two stands by.
//
// The invariant: nothing is destroyed unless [Claim] says that it is ours, on a config read just before.
package fleet
