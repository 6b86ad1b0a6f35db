package proxmox_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// inProcess answers a request without a network: "" breaks the connection, "{…" is a success's body, anything else a
// status line.
func inProcess(r *http.Request, answer string) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, body := answer, ""
	switch {
	case answer == "":
		return nil, errors.New("connection reset by peer")
	case answer[0] == '{':
		status, body = "200 OK", answer
	}
	code, err := strconv.Atoi(status[:3])
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: status, StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}
