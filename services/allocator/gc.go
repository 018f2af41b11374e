package allocator

import "runtime/debug"

// gcPercent lets the heap grow more before it is collected: most of what a request allocates is gone when it is
// answered, and what stays is small.
const gcPercent = 400

// TuneGC sets the garbage collector of a process that runs the allocator, unless GOGC does. It is for main functions.
func TuneGC(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
