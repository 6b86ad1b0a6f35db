package github_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"mayfly/internal/github"
	"mayfly/internal/runner"
)

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Accepted-GitHub-Permissions", "administration=read")
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(w, `{"message": "Resource not accessible by personal access token"}`)
	}))
	defer server.Close()
	client, err := github.New(github.Options{BaseURL: server.URL, Token: runner.NewSecret("github_pat_example")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	_, err = client.Runners(context.Background(), runner.Target{Owner: "NREL", Repo: "EnergyPlus"})
	fmt.Println(errors.Is(err, github.Permission))
	fmt.Println(err)
	// Output:
	// true
	// list runners of NREL/EnergyPlus: GitHub answers 403 Forbidden: Resource not accessible by personal access token (needs administration=read); give the token "Actions: read and write" and "Administration: read and write" for this repository (fine-grained), or the scope "repo" (classic)
}
