//go:build linux || darwin

package chembed

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// runEngine loads the shared library and runs the engine with the command line args until it ends.
// The library is called without cgo, so that the binaries stay static.
func runEngine(library string, args []string) error {
	runtime.LockOSThread()
	handle, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("loading the ClickHouse engine %s: %w", library, err)
	}
	var setSignalHandlers func(enabled int32)
	var queryCommandLine func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	var resultError func(result unsafe.Pointer) string
	purego.RegisterLibFunc(&setSignalHandlers, handle, "chdb_set_signal_handlers_enabled")
	purego.RegisterLibFunc(&queryCommandLine, handle, "chdb_query_cmdline")
	purego.RegisterLibFunc(&resultError, handle, "chdb_result_error")

	// The Go runtime owns the signals of this process.
	setSignalHandlers(0)

	var pinner runtime.Pinner
	defer pinner.Unpin()
	argv := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		b := append([]byte(arg), 0)
		pinner.Pin(&b[0])
		argv = append(argv, &b[0])
	}
	argv = append(argv, nil)
	pinner.Pin(&argv[0])

	result := queryCommandLine(int32(len(args)), unsafe.Pointer(&argv[0]))
	if result == nil {
		return errors.New("the ClickHouse engine ended without a result")
	}
	if message := resultError(result); message != "" {
		return errors.New(message)
	}
	return nil
}

// detach puts the child in a process group of its own: a Ctrl-C in the terminal is for this process,
// which drains first and then stops the child.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
