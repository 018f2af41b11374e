// Package house checks the repository itself: who imports whom, that every make target says what it
// does, that the compose file mounts what exists, that links in the documents lead somewhere,
// that what stands in several places stands there alike, and that nothing names the machine it was written on.
//
// It has tests only; `make lint` runs them. Each failure says which file and line to change.
package house
