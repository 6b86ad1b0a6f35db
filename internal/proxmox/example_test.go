package proxmox_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

func Example() {
	pve, err := proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006", "https://pve2:8006"},
		TokenID:   "ci@pve!mayfly", TokenSecret: runner.NewSecret("…"),
		CAFile: "/etc/mayfly/pve-root-ca.pem",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pve.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	task, err := pve.Clone(ctx, "pve1", 9000, proxmox.CloneOptions{NewID: 201, Name: "ep-0123456789", Pool: "ci"})
	if err == nil {
		err = pve.WaitTask(ctx, task)
	}
	switch {
	case errors.Is(err, proxmox.MaybeHappened):
		fmt.Println("look for the clone's task before doing it again")
	case errors.Is(err, proxmox.Exists):
		fmt.Println("take another VMID")
	case err != nil:
		fmt.Println(err) // one line, with what to do
	}
}
