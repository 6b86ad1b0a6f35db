package config

import _ "embed" // this file's comments are the reference text

// filePlacementSource is this file, as fileSource is file.go.
//
//go:embed fileplacement.go
var filePlacementSource string

// FilePlacement is the key "placement".
type FilePlacement struct {
	// Which of the nodes that fit gets a runner: spread, the one with the least load; pack, the fullest that it still fits on.
	Strategy string `yaml:"strategy" env:"PLACEMENT_STRATEGY" default:"spread" oneof:"spread pack"`
	// Memory of each node that runners leave alone.
	MemoryReserve Size `yaml:"memory_reserve" default:"2GiB"`
	// How much memory runners may be promised, in percent of a node's. What isn't Mayfly's counts with what it uses, a runner with all of
	// its memory. 0 doesn't count memory.
	MemoryOvercommit int `yaml:"memory_overcommit" default:"100" min:"0" max:"1000"`
	// How many cores runners may have on a node, in percent of the node's: 400 is four for each. 0 doesn't count cores.
	CPUOvercommit int `yaml:"cpu_overcommit" default:"400" min:"0" max:"10000"`
	// How much a linked clone may grow: it is kept free for each runner on the storage of its disk.
	LinkedGrowth Size `yaml:"linked_growth" default:"5GiB"`
	// Room of each storage that runners leave alone.
	StorageReserve Size `yaml:"storage_reserve" default:"5GiB"`
	// How many clones and destroys run at once on a node.
	NodeTasks int `yaml:"node_tasks" default:"4" min:"1" max:"32"`
	// How many clones and destroys run at once on a storage. Proxmox gives up on a storage's lock after 10 seconds.
	StorageTasks int `yaml:"storage_tasks" default:"4" min:"1" max:"32"`
	// Whether runners of one pool stay apart as long as there are nodes without one.
	AntiAffinity bool `yaml:"anti_affinity" default:"false"`
	// What nodes count for beside others with 1: with pve2=2, pve2 gets twice the runners.
	Weights []string `yaml:"weights" form:"weight"`
}
