package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// githubSpec is GitHub's OpenAPI description (testdata/README-github.md tells its origin).
type githubSpec struct {
	doc *openapi3.T
}

// githubErrors are the statuses that GitHub may answer to anything, whether its description lists them or not: the body
// is a "basic-error" then.
var githubErrors = []int{400, 401, 403, 404, 409, 422, 429, 500, 502, 503}

func loadGitHubSpec(t *testing.T) *githubSpec {
	t.Helper()
	raw, err := os.ReadFile("testdata/github-openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	s := &githubSpec{doc}
	seen := map[*openapi3.Schema]bool{}
	for name, schema := range doc.Components.Schemas {
		// GitHub puts "status" into validation errors, too, though only basic-error describes it.
		if strings.HasPrefix(name, "validation-error") {
			seen[schema.Value] = true
		}
	}
	for _, schema := range doc.Components.Schemas {
		closeSchema(schema, seen)
	}
	for _, response := range doc.Components.Responses {
		closeContent(response.Value.Content, seen)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, response := range op.Responses.Map() {
				closeContent(response.Value.Content, seen)
			}
		}
	}
	return s
}

func closeContent(content openapi3.Content, seen map[*openapi3.Schema]bool) {
	for _, media := range content {
		closeSchema(media.Schema, seen)
	}
}

// closeSchema forbids properties that the description doesn't have: it allows them everywhere, but in a stand-in each is
// a name misspelt.
func closeSchema(ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool) {
	if ref == nil || ref.Value == nil || seen[ref.Value] {
		return
	}
	s := ref.Value
	seen[s] = true
	composed := len(s.AllOf)+len(s.AnyOf)+len(s.OneOf) > 0
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil && !composed {
		no := false
		s.AdditionalProperties.Has = &no
	}
	for _, p := range s.Properties {
		closeSchema(p, seen)
	}
	closeSchema(s.Items, seen)
	for _, alternatives := range []openapi3.SchemaRefs{s.AnyOf, s.OneOf} { // the parts of an allOf are open to each other
		for _, a := range alternatives {
			closeSchema(a, seen)
		}
	}
}

// match finds the path of the description that a request is for. Literal segments win.
func (s *githubSpec) match(path string) (string, bool) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	best, literal := "", -1
	for _, candidate := range s.doc.Paths.InMatchingOrder() {
		parts := strings.Split(strings.Trim(candidate, "/"), "/")
		if len(parts) != len(segments) {
			continue
		}
		same := 0
		for i, p := range parts {
			if p == segments[i] {
				same++
			} else if !strings.HasPrefix(p, "{") {
				same = -1
				break
			}
		}
		if same > literal {
			best, literal = candidate, same
		}
	}
	return best, literal >= 0
}

// check says what is wrong with a reply, or nil.
func (s *githubSpec) check(method, path string, status int, header http.Header, body []byte) error {
	template, ok := s.match(path)
	if !ok {
		return fmt.Errorf("%s %s is no path of the description", method, path)
	}
	item := s.doc.Paths.Value(template)
	op := item.GetOperation(method)
	if op == nil {
		return fmt.Errorf("%s is no operation of %s", method, template)
	}
	if status == http.StatusNotModified {
		if len(body) > 0 {
			return fmt.Errorf("304 has a body: %q", body)
		}
		return nil
	}
	if op.Responses.Status(status) == nil {
		return s.checkError(status, header, body)
	}
	if status == http.StatusNoContent && len(body) > 0 {
		return fmt.Errorf("204 has a body: %q", body)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: &http.Request{Method: method, URL: &url.URL{Path: path}},
			Route:   &routers.Route{Spec: s.doc, Path: template, PathItem: item, Method: method, Operation: op},
		},
		Status: status, Header: header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	input.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(context.Background(), input)
}

// checkError checks a reply with a status that the operation doesn't list.
func (s *githubSpec) checkError(status int, header http.Header, body []byte) error {
	if !slices.Contains(githubErrors, status) {
		return fmt.Errorf("status %d is neither of this operation nor an error that anything may have", status)
	}
	if kind := header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		return fmt.Errorf("error in %q instead of JSON", kind)
	}
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("error that is no JSON object: %w", err)
	}
	if v["message"] == nil || v["documentation_url"] == nil {
		return errors.New("error without message or documentation_url")
	}
	return s.doc.Components.Schemas["basic-error"].Value.VisitJSON(v)
}
