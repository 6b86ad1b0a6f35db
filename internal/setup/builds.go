package setup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/config"
)

// builds asks for what building an image takes, where one has to be built.
func (w *wizard) builds(ctx context.Context) error {
	if w.build == "" {
		return nil
	}
	w.put("image.names", w.build, "the image of the pool")
	for _, q := range []struct{ key, flag, ask, usual, content string }{
		{"image.storage", "--storage", "Storage for the disks of templates and runners", "local-lvm", "images"},
		{"image.files_storage", "--files-storage", "Storage for the vendor's image and the build's seed", "local", "import,iso"},
	} {
		if err := w.askStorage(ctx, q.key, q.flag, q.ask, q.usual, strings.Split(q.content, ",")); err != nil {
			return err
		}
	}
	if err := w.bridge(ctx); err != nil {
		return err
	}
	return w.askPool(ctx, "image.resource_pool", "--image-resource-pool", "Resource pool for templates", "VM.Allocate", "ci-templates")
}

// askStorage asks for a storage of the node that takes the content.
func (w *wizard) askStorage(ctx context.Context, key, flag, ask, usual string, content []string) error {
	q := question{key: key, flag: flag, ask: ask}
	for _, s := range w.storages {
		if lacking(s.Content, content) != "" || !s.Active {
			continue
		}
		q.offers = append(q.offers, offer{s.Name, fmt.Sprintf("%s, %s free of %s", s.Type, s.Avail, s.Total)})
		if q.def == "" || s.Name == usual {
			q.def, q.why = s.Name, "takes "+strings.Join(content, ", ")
		}
	}
	if q.def == "" {
		q.def, q.why = usual, "the usual one; the token sees none that takes "+strings.Join(content, ", ")
	}
	q.check = func(_ context.Context, text string) (string, error) { return w.checkStorage(key, text, content) }
	value, from, err := w.ask(ctx, q)
	if err != nil {
		return err
	}
	w.put(key, value, from)
	if w.storage(value) == nil {
		w.con.say("  The token doesn't see it yet; what it lacks is told at the end.")
	}
	return nil
}

func (w *wizard) checkStorage(key, text string, content []string) (string, error) {
	if err := config.CheckValue(key, text); err != nil {
		return "", err
	}
	s := w.storage(text)
	var names []string
	for _, s := range w.storages {
		names = append(names, s.Name)
	}
	switch {
	case s == nil && len(names) > 0 && !w.hides("/storage/"+text):
		return "", fmt.Errorf("node %s has no such storage that this token sees; it sees %s", w.node0, strings.Join(names, ", "))
	case s == nil:
		return text, nil // a token without privileges sees none: that is told at the end
	case !s.Active:
		return "", fmt.Errorf("storage %s isn't active on %s; on the node: pvesm status --storage %s", text, w.node0, text)
	}
	if lacks := lacking(s.Content, content); lacks != "" {
		return "", fmt.Errorf("storage %s takes %s, not %s; on a node: pvesm set %s --content %s", text, strings.Join(s.Content, ", "), lacks,
			text, strings.Join(append(slices.Clone(s.Content), lacks), ","))
	}
	return text, nil
}

// hides reports whether the token has nothing on a path, so that what is there may be hidden from it.
func (w *wizard) hides(path string) bool {
	for _, on := range []string{path, "/storage", "/"} {
		if len(w.granted[on]) > 0 {
			return false
		}
	}
	return true
}

// lacking is the first content that a storage doesn't take; "" for none.
func lacking(has, wanted []string) string {
	for _, c := range wanted {
		if !slices.Contains(has, c) {
			return c
		}
	}
	return ""
}

// bridge asks for the network of templates. Which bridges there are a token of a dispatcher can't list: those that it may use, and
// those of templates, are offered.
func (w *wizard) bridge(ctx context.Context) error {
	const key = "image.bridge"
	q := question{key: key, flag: "--bridge", ask: "Bridge of the templates' network card"}
	for path, privileges := range w.granted {
		zone, name, ok := strings.Cut(strings.TrimPrefix(path, "/sdn/zones/"), "/")
		if _, may := privileges["SDN.Use"]; ok && zone != "" && name != "" && !strings.Contains(name, "/") && may && strings.HasPrefix(path, "/sdn/zones/") {
			q.offers = append(q.offers, offer{name, "the token may use it"})
		}
	}
	slices.SortFunc(q.offers, func(a, b offer) int { return strings.Compare(a.value, b.value) })
	q.def, q.why = "vmbr0", "Proxmox VE's first bridge"
	if len(q.offers) > 0 {
		q.def, q.why = q.offers[0].value, q.offers[0].about
	}
	q.check = func(_ context.Context, text string) (string, error) { return text, config.CheckValue(key, text) }
	value, from, err := w.ask(ctx, q)
	if err == nil {
		w.put(key, value, from)
	}
	return err
}
