package image

import "strings"

// several are errors of one step, told on one line.
type several []error

// Error implements error.
func (s several) Error() string {
	words := make([]string, 0, len(s))
	for _, err := range s {
		words = append(words, err.Error())
	}
	return strings.Join(words, "; ")
}

// Unwrap gives all of them.
func (s several) Unwrap() []error { return s }

// together is errors.Join on one line.
func together(errs ...error) error {
	var all several
	for _, err := range errs {
		if err != nil {
			all = append(all, err)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}
