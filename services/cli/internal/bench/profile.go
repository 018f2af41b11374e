package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profile is a processor profile being written; nil where none was asked for.
type profile struct{ file *os.File }

// startProfile begins the profile of one measurement, in place of that of an earlier repetition.
func (o Options) startProfile(name string) (*profile, error) {
	if o.Profiles == "" {
		return nil, nil
	}
	file, err := os.Create(filepath.Join(o.Profiles, name+".cpu.pprof"))
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), file.Close())
	}
	return &profile{file}, nil
}

func (p *profile) stop() error {
	if p == nil {
		return nil
	}
	pprof.StopCPUProfile()
	if err := p.file.Close(); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return nil
}

// writeAllocations writes where everything that was allocated came from, of all measurements together.
func (o Options) writeAllocations() (err error) {
	if o.Profiles == "" {
		return nil
	}
	file, err := os.Create(filepath.Join(o.Profiles, "allocations.pprof"))
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.Lookup("allocs").WriteTo(file, 0); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return nil
}
