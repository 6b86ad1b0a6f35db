package gh

import (
	"fmt"
	"strconv"
	"strings"
)

// Page sizes (GitHub docs, "Using pagination in the REST API").
const (
	defaultPerPage = 30
	maxPerPage     = 100
	// maxFiltered is how many runs a filtered list holds at most (OpenAPI, actions/list-workflow-runs-for-repo).
	maxFiltered = 1000
)

// page cuts the page that the request asks for out of all, and makes the Link header, "" when all fit.
func page[T any](c *call, all []T) (part []T, link string) {
	size := c.positive("per_page", defaultPerPage)
	size = min(size, maxPerPage)
	n := c.positive("page", 1)
	last := max(1, (len(all)+size-1)/size)
	first := min((n-1)*size, len(all))
	part = all[first:min(first+size, len(all))]
	var links []string
	add := func(p int, rel string) {
		q := c.url.Query()
		q.Set("page", strconv.Itoa(p))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel=%q`, c.base(), c.linkPath(), q.Encode(), rel))
	}
	if n > 1 {
		add(min(n-1, last), "prev")
	}
	if n < last {
		add(n+1, "next")
		add(last, "last")
	}
	if n > 1 {
		add(1, "first")
	}
	return part, strings.Join(links, ", ")
}

// linkPath is the path in links: GitHub names the repository by its id there.
func (c *call) linkPath() string {
	if c.repo == nil {
		return c.path
	}
	parts := strings.SplitN(strings.Trim(c.path, "/"), "/", 4)
	return fmt.Sprintf("/repositories/%d/%s", c.repo.id, parts[3])
}

// positive reads a number from the query; GitHub takes the default for what isn't a positive one.
func (c *call) positive(name string, def int) int {
	n, err := strconv.Atoi(c.query(name))
	if err != nil || n < 1 {
		return def
	}
	return n
}

// list is a page of a list with its Link header. body makes the reply from the page.
func list[T any](c *call, all []T, body func(part []T) any) reply {
	part, link := page(c, all)
	rep := answer(200, body(part))
	if link != "" {
		rep.header.Set("Link", link)
	}
	return rep
}
