//go:build !(darwin || linux || freebsd || openbsd || netbsd)

package natsembed

// dirLock guards nothing here: this system has no lock that a crash releases, and a lock file left
// behind would keep the store closed. Keeping a second server away is up to the operator.
type dirLock struct{}

func lockDir(string) (*dirLock, error) { return &dirLock{}, nil }

func (*dirLock) release() error { return nil }
