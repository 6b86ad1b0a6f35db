package setup

import (
	"regexp"
	"strings"
)

// origin is the word on where a value is from, behind it.
var origin = regexp.MustCompile(`  # [^"]*$`)

// alike reports whether two lines say the same, wherever their values are from.
func alike(a, b string) bool {
	return a == b || origin.ReplaceAllString(a, "") == origin.ReplaceAllString(b, "")
}

// difference tells what has to be taken from one text (-) and put into it (+) to make the other, line by line, without the lines
// that both have, wherever their values are from. The texts are configurations: small.
func difference(before, after string) string {
	a, b := lines(before), lines(after)
	// common[i][j] is how many lines a[i:] and b[j:] have in common, in order.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if alike(a[i], b[j]) {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && alike(a[i], b[j]):
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out.WriteString("- " + a[i] + "\n")
			i++
		default:
			out.WriteString("+ " + b[j] + "\n")
			j++
		}
	}
	return out.String()
}

func lines(s string) []string {
	s = strings.TrimSuffix(s, "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
