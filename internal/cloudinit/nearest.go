package cloudinit

import "slices"

// byNearness returns the known words, those that differ least from word first; equals keep their order.
func byNearness(word string, known []string) []string {
	sorted := slices.Clone(known)
	slices.SortStableFunc(sorted, func(a, b string) int { return editDistance(word, a) - editDistance(word, b) })
	return sorted
}

// nearest returns the known word that was probably meant: at most one edit for every three letters away.
func nearest(word string, known []string) (string, bool) {
	first := byNearness(word, known)[0]
	return first, editDistance(word, first) <= max(1, len(word)/3)
}

// editDistance counts the insertions, deletions and substitutions between two words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
