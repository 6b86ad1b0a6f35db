package pve_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"mayfly/internal/sim/pve"
)

// A cluster in process, asked by a plain HTTP client.
func Example() {
	s := pve.New(pve.Options{TemplateName: "ubuntu"})
	defer s.Close()
	info := s.Info()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, info.URL+"/api2/json/nodes/pve1/qemu/9000/config", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "PVEAPIToken="+info.TokenID+"="+info.TokenSecret)
	client := http.Client{Transport: s.RoundTripper()}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, strings.Contains(string(body), `"name":"ubuntu"`), err)
	// Output: 200 OK true <nil>
}
