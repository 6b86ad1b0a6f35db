package config

import (
	"fmt"
	"strings"
)

// completeDerived fills in what follows from other keys, after those have their defaults.
func (l *loader) completeDerived() {
	l.completeAPIURL()
	l.completeTLS()
	l.derive("installation", "name_prefix and vmids.start", func() {
		l.file.Installation = strings.ToLower(fmt.Sprintf("%s-%d", l.file.NamePrefix, l.file.VMIDs.Start))
	})
	for i := range l.file.Pools {
		pool, at := &l.file.Pools[i], index("pools", i)
		l.derive(at+".name_prefix", "name_prefix", func() { pool.NamePrefix = l.file.NamePrefix })
		l.completeTemplate(pool, at)
		l.derive(at+".jobs.repositories", "target", func() { pool.Jobs.Repositories = pool.repositories() })
		l.derive(at+".max", "max_runners", func() { pool.Max = l.file.MaxRunners })
	}
}

// defaultTemplate is what a pool's runners are cloned from when nobody says.
const defaultTemplate = "ubuntu-2204-runner-template"

// completeTemplate gives a pool its template, unless it follows an image.
func (l *loader) completeTemplate(p *FilePool, at string) {
	template, image := at+".template", at+".image"
	switch {
	case l.known(template) && l.known(image):
		l.problem(l.origins[image], image, "set beside "+template, "want one of the two")
	case !l.known(template) && !l.known(image):
		p.Template = defaultTemplate
		l.origins[template] = Origin{Kind: FromDefault}
	}
}

// derive sets a key that nobody set.
func (l *loader) derive(path, why string, set func()) {
	if !l.known(path) {
		set()
		l.origins[path] = Origin{Kind: FromDefault, Why: why}
	}
}

// completeTLS decides whether the server's certificate is checked. A fingerprint or CA file is the wish to check; an
// existing env file without either goes on without, and is told.
func (l *loader) completeTLS() {
	const path = "proxmox.verify_tls"
	p := &l.file.Proxmox
	p.Fingerprint = cleanFingerprints(p.Fingerprint)
	pinned := ""
	for _, other := range []string{"proxmox.ca_file", "proxmox.fingerprint"} {
		if l.known(other) {
			pinned = other
		}
	}
	switch {
	case pinned != "" && l.known(path) && !p.VerifyTLS && !l.bad(path):
		l.warn(l.origins[path], path, "false has no effect beside "+pinned+": the certificate is checked; remove one of the two")
		p.VerifyTLS = true
		l.origins[path] = Origin{Kind: FromDefault, Why: pinned}
	case pinned != "":
		l.derive(path, pinned, func() { p.VerifyTLS = true })
	case l.opts.File != "":
		l.derive(path, "the safe choice", func() { p.VerifyTLS = true })
	default:
		l.derive(path, "environment alone", func() { p.VerifyTLS = false })
	}
	if !p.VerifyTLS && !l.bad(path) && hasHTTPS(p.Endpoints) {
		l.warn(l.origins[path], path, "the certificate of Proxmox is not checked, so anybody in between can read the token; set PROXMOX_FINGERPRINT (proxmox.fingerprint) or PROXMOX_CA_FILE (proxmox.ca_file)")
	}
}

func hasHTTPS(endpoints []string) bool {
	for _, e := range endpoints {
		if strings.HasPrefix(e, "https:") {
			return true
		}
	}
	return false
}

// cleanFingerprints writes fingerprints as Proxmox shows them: AA:BB:…, separated by commas. What isn't one stays.
func cleanFingerprints(text string) string {
	f, _ := formOf("fingerprint")
	if !f.matches(text) {
		return text
	}
	var list []string
	for one := range strings.SplitSeq(text, ",") {
		digits := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(one), ":", ""))
		var pairs []string
		for i := 0; i+2 <= len(digits); i += 2 {
			pairs = append(pairs, digits[i:i+2])
		}
		list = append(list, strings.Join(pairs, ":"))
	}
	return strings.Join(list, ",")
}
