package gh_test

import (
	"context"
	"fmt"
	"net/http"

	"mayfly/internal/sim/gh"
)

func Example() {
	github := gh.New(gh.Options{Seed: 1})
	defer github.Close()
	github.AddJobs(gh.JobSpec{Count: 2, Labels: []string{"self-hosted", "linux"}, Steps: []gh.StepSpec{{Run: "make"}}})

	client := http.Client{Transport: github.RoundTripper()}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://github.example/repos/NREL/EnergyPlus/actions/runs?status=queued", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+github.Info().Token)
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status, resp.Header.Get("X-RateLimit-Remaining"))
	for _, job := range github.Jobs() {
		fmt.Println(job.Name, job.Status)
	}
	// Output:
	// 200 OK 4999
	// build (1) queued
	// build (2) queued
}
