package natsauth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/wire"
)

// How keys lie on disk: services/<role>.nk, and <role>s/<workspace>/<principal>.nk with names encoded
// as tokens.
const (
	serviceDir  = "services"
	seedSuffix  = ".nk"
	dirMode     = 0o700
	seedMode    = 0o600
	othersModes = 0o077
)

// ErrSeed: a seed file that cannot be used: readable by others, or not the seed of a user.
var ErrSeed = errors.New("unusable seed file")

// Keys are the seeds of everybody who may connect, kept in a directory of mode 0700 in files of mode
// 0600. It may be used by many goroutines, but only one process at a time may add to a directory.
type Keys struct {
	dir string

	mu     sync.Mutex
	public map[Identity]string
	order  []Identity // services first, then principals as they were found or added
}

// LoadOrCreate reads the seeds in a directory, and makes those that are missing for our services and
// for the given principals. Principals that were added earlier are read too. It returns [ErrSeed] for
// a file that others may read: it may have been copied, so it is for a person to decide.
func LoadOrCreate(dir string, principals ...Identity) (*Keys, error) {
	k := &Keys{dir: dir, public: map[Identity]string{}}
	for _, role := range ServiceRoles() {
		if err := k.Add(Service(role)); err != nil {
			return nil, err
		}
	}
	found, err := principalsIn(dir)
	if err != nil {
		return nil, err
	}
	for _, id := range append(principals, found...) {
		if !id.Role.principal() {
			return nil, fmt.Errorf("%w: %s is not a principal", ErrIdentity, id)
		}
		if err := k.Add(id); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Add loads the seed of an identity, or makes one. Adding somebody who is there does nothing. A server
// that runs already has to be told: natsembed.Server.SetUsers with [Keys.Users], or see [Admit].
func (k *Keys) Add(id Identity) error {
	if err := id.Validate(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.public[id]; ok {
		return nil
	}
	file, err := k.SeedFile(id)
	if err != nil {
		return err
	}
	public, err := loadOrCreateSeed(file)
	if err != nil {
		return fmt.Errorf("key of %s: %w", id, err)
	}
	k.public[id] = public
	k.order = append(k.order, id)
	return nil
}

// SeedFile returns the path of an identity's seed, whether it exists or not.
func (k *Keys) SeedFile(id Identity) (string, error) { return SeedFile(k.dir, id) }

// SeedFile returns the path of an identity's seed in a directory of keys, whether it exists or not: for a program
// that uses the keys of somebody else's directory and makes none.
func SeedFile(dir string, id Identity) (string, error) {
	if err := id.Validate(); err != nil {
		return "", err
	}
	if id.Role.service() {
		return filepath.Join(dir, serviceDir, string(id.Role)+seedSuffix), nil
	}
	workspace, err := wire.EncodeToken(id.Workspace)
	if err != nil {
		return "", err
	}
	principal, err := wire.EncodeToken(id.Principal)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, string(id.Role)+"s", workspace, principal+seedSuffix), nil
}

// Identities returns everybody who may connect.
func (k *Keys) Identities() []Identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]Identity(nil), k.order...)
}

// PublicKey returns the public key of an identity, or "" when it has none.
func (k *Keys) PublicKey(id Identity) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.public[id]
}

// Users returns everybody with their permissions, as the embedded server takes them.
func (k *Keys) Users() ([]*server.NkeyUser, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	users := make([]*server.NkeyUser, 0, len(k.order))
	for _, id := range k.order {
		p, err := For(id)
		if err != nil {
			return nil, err
		}
		users = append(users, &server.NkeyUser{Nkey: k.public[id], Permissions: p.server()})
	}
	return users, nil
}

// Connection returns cfg with the seed file and the inbox prefix of an identity, and its name where
// cfg has none.
func (k *Keys) Connection(id Identity, cfg natsconn.Config) (natsconn.Config, error) {
	var err error
	if cfg.NkeySeedFile, err = k.SeedFile(id); err != nil {
		return natsconn.Config{}, err
	}
	if cfg.InboxPrefix, err = id.InboxPrefix(); err != nil {
		return natsconn.Config{}, err
	}
	if cfg.Name == "" {
		cfg.Name = "bursar " + id.String()
	}
	return cfg, nil
}

// UserSetter is a running server that takes new users; natsembed.Server is one.
type UserSetter interface {
	SetUsers(users []*server.NkeyUser) error
}

// Admit adds an identity and tells the running server, which from then on lets it in. Everybody else's
// connections stay.
func Admit(srv UserSetter, keys *Keys, id Identity) error {
	if err := keys.Add(id); err != nil {
		return err
	}
	users, err := keys.Users()
	if err != nil {
		return err
	}
	return srv.SetUsers(users)
}

// principalsIn finds the principals that have a seed in a directory.
func principalsIn(dir string) ([]Identity, error) {
	var found []Identity
	for _, role := range principalRoles() {
		files, err := filepath.Glob(filepath.Join(dir, string(role)+"s", "*", "*"+seedSuffix))
		if err != nil {
			return nil, fmt.Errorf("find keys: %w", err)
		}
		for _, file := range files {
			workspace, err := wire.DecodeToken(filepath.Base(filepath.Dir(file)))
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrSeed, file, err)
			}
			principal, err := wire.DecodeToken(strings.TrimSuffix(filepath.Base(file), seedSuffix))
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrSeed, file, err)
			}
			found = append(found, Identity{role, workspace, principal})
		}
	}
	return found, nil
}

// Principals lists the principals of a role in a workspace whose seeds are in a directory of keys, in the order of
// their names.
func Principals(dir string, role Role, workspace string) ([]string, error) {
	found, err := principalsIn(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, id := range found {
		if id.Role == role && id.Workspace == workspace {
			names = append(names, id.Principal)
		}
	}
	slices.Sort(names)
	return names, nil
}

func loadOrCreateSeed(file string) (public string, err error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return createSeed(file)
	}
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&othersModes != 0 {
		return "", fmt.Errorf("%w: %s has mode %04o, others may have read it; make a new one, or chmod 600 it", ErrSeed, file, info.Mode().Perm())
	}
	seed, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	pair, err := nkeys.ParseDecoratedUserNKey(seed)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrSeed, file, err)
	}
	defer pair.Wipe()
	return pair.PublicKey()
}

// createSeed writes the seed beside its place and moves it there, so that a crash leaves no half a key.
func createSeed(file string) (public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return "", err
	}
	if public, err = pair.PublicKey(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), dirMode); err != nil {
		return "", err
	}
	half := file + ".new"
	if err := os.WriteFile(half, append(seed, '\n'), seedMode); err != nil {
		return "", err
	}
	if err := os.Rename(half, file); err != nil {
		return "", err
	}
	return public, nil
}
