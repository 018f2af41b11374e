package wire

import "strings"

// Clip cuts a text to at most so many bytes of whole characters: for names that other programs chose, of which one that is
// too long for a request must not hold up the rest.
func Clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "")
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}
