package config

import (
	"slices"
	"strings"
)

// nearest makes a hint of which of the known names was probably meant: the one that is close, or all of them while they
// are few. orElse is what else can be done about it; it may be empty.
func nearest(name string, known []string, orElse string) string {
	best, bestDistance := "", len(name)/2+1
	for _, k := range known {
		if d := distance(name, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	const few = 12
	var write string
	switch {
	case best != "":
		write = "write " + best
	case len(known) == 0:
		return orElse
	case len(known) > few:
		write = "write " + strings.Join(known[:few], ", ") + " or another that is known"
	default:
		write = "write " + choice(known)
	}
	if orElse == "" {
		return write
	}
	return write + ", or " + orElse
}

// distance counts the letters to insert, delete or replace to turn a into b. Long names are cut off.
func distance(a, b string) int {
	const most = 64
	a, b = strings.ToLower(a[:min(len(a), most)]), strings.ToLower(b[:min(len(b), most)])
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := previous
			if a[i] != b[j] {
				cost++
			}
			previous = row[j+1]
			row[j+1] = slices.Min([]int{cost, row[j] + 1, row[j+1] + 1})
		}
	}
	return row[len(b)]
}
