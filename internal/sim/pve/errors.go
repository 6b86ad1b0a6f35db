package pve

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// apiError is a refusal as the API sends it: the status, the message that becomes both the reason phrase and the body's
// "message", and for parameters the field texts.
type apiError struct {
	status int
	msg    string // without the final line break that Perl's die has
	fields map[string]string
	// exact leaves the message in the body without a line break (the proxy's own errors).
	exact bool
	// bare sends no body at all (401, 595, 596, the upload's 403).
	bare bool
	// text sends the message as plain text, as the HTTP layer itself does.
	text bool
}

func (e *apiError) Error() string { return e.msg }

// failf is a Perl die in a method: 500 and the text.
func failf(format string, args ...any) *apiError {
	return &apiError{status: 500, msg: fmt.Sprintf(format, args...)}
}

// badParams is 400 with a text for each field.
func badParams(fields map[string]string) *apiError {
	return &apiError{status: 400, msg: "Parameter verification failed.", fields: fields}
}

func badParam(field, format string, args ...any) *apiError {
	return badParams(map[string]string{field: fmt.Sprintf(format, args...)})
}

// forbidden is 403; the text in brackets names what is missing.
func forbidden(format string, args ...any) *apiError {
	return &apiError{status: 403, msg: "Permission check failed (" + fmt.Sprintf(format, args...) + ")"}
}

// proxyError is an answer of the proxy in between: no body, only a status line (AnyEvent::HTTP's pseudo codes).
func proxyError(status int, reason string) *apiError {
	return &apiError{status: status, msg: reason, bare: true}
}

// taskText is what an error reads like as a task's exit status: a permission or parameter error keeps its code in
// front, and field texts follow the message (PVE::Exception's stringification).
func taskText(err error) string {
	var ae *apiError
	if !errors.As(err, &ae) {
		return firstLineOf(err.Error())
	}
	if ae.status == 500 {
		return firstLineOf(ae.msg)
	}
	return fmt.Sprintf("%d %s", ae.status, firstLineOf(ae.msg))
}

// asError keeps a nil *apiError from becoming an error that isn't nil.
func asError(err *apiError) error {
	if err == nil {
		return nil
	}
	return err
}

func firstLineOf(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// fieldErrors collects texts by field; several for one field are joined the way Proxmox joins them: with a backslash
// and an n, a quirk of its single quotes.
type fieldErrors map[string]string

func (f fieldErrors) add(path, format string, args ...any) {
	if path == "" {
		path = "_root"
	}
	text := fmt.Sprintf(format, args...)
	if old, ok := f[path]; ok {
		text = old + `\n` + text
	}
	f[path] = text
}

// lines renders nested errors as they appear inside another text: "path: text" lines, sorted.
func (f fieldErrors) lines() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintf(&b, "%s: %s\n", k, f[k])
	}
	return b.String()
}
