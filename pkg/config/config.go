package config

import (
	_ "embed"
	"fmt"
	"os"
	"sync"
	_ "time/tzdata" // zones must not depend on the machine

	"github.com/bursarhq/bursar/pkg/quota"
)

//go:embed default.yaml
var defaultYAML []byte

//go:embed providers.yaml
var providersYAML []byte

// Config is a configuration that was found right.
type Config struct {
	// Quota is what the state machine works by. Its Version is 0: the ledger numbers what it applies.
	Quota quota.Config
	// Teams are those declared, in the order of the file.
	Teams []string
	// Admins are the principals that may use the admin verbs, in the order of the file. The ledger does not know them:
	// they become permissions of the connection.
	Admins []string
}

// Parse reads a configuration; file names it in faults and is not opened. The error is a [Faults] with everything that
// is wrong, unless the program itself is built wrongly.
func Parse(file string, data []byte) (*Config, error) {
	table, err := builtInProviders()
	if err != nil {
		return nil, err
	}
	return parse(file, data, table)
}

// Load reads a file and parses it; its errors are those of reading and of [Parse].
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > MaxBytes {
		return nil, fmt.Errorf("read configuration: %s has %d bytes, at most %d are accepted", path, info.Size(), MaxBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// Default gives the configuration that is used when there is no file: [DefaultYAML], parsed.
func Default() (*Config, error) {
	c, err := Parse("default.yaml", defaultYAML)
	if err != nil {
		return nil, fmt.Errorf("built-in configuration: %w", err)
	}
	return c, nil
}

// DefaultYAML gives the text of the built-in configuration, the same as deployments/bursar.yaml.
func DefaultYAML() []byte { return append([]byte(nil), defaultYAML...) }

// builtInProviders reads providers.yaml, which has the form of a configuration file, once. The table is not changed after.
var builtInProviders = sync.OnceValues(readBuiltIn)

func readBuiltIn() (*providerTable, error) {
	b, err := newBuilder("providers.yaml", providersYAML, &providerTable{})
	if err != nil {
		return nil, fmt.Errorf("built-in providers: %w", err)
	}
	b.providers()
	if err := b.c.err(); err != nil {
		return nil, fmt.Errorf("built-in providers: %w", err)
	}
	return b.table, nil
}

func parse(file string, data []byte, table *providerTable) (*Config, error) {
	b, err := newBuilder(file, data, table)
	if err != nil {
		return nil, err
	}
	b.teams()
	b.policy()
	b.providers()
	b.accounts()
	b.limits()
	b.ceilings()
	b.shares()
	b.principals()
	b.unlisted()
	b.prices()
	b.damaged()
	if err := b.c.err(); err != nil {
		return nil, err
	}
	b.out.Quota.Providers = b.table.quota()
	return &b.out, nil
}

// newBuilder reads and validates the form. An error is a Faults of a document that nothing more can be said about, or
// a fault of the embedded schema.
func newBuilder(file string, data []byte, table *providerTable) (*builder, error) {
	s, err := loadSchema()
	if err != nil {
		return nil, err
	}
	b := &builder{c: &collector{file: file}, table: table, owners: map[string]pointer{}, declarations: map[string]*declared{}, unsettled: map[string]bool{}}
	if !b.c.read(data) {
		return nil, b.c.err()
	}
	b.src.bad = s.check(b.c)
	root, isMapping := b.c.doc.root.(map[string]any)
	if !isMapping {
		return nil, b.c.err()
	}
	b.src.root = root
	b.out.Quota.Policy = quota.DefaultPolicy()
	b.holdBack = defaultHoldBack()
	return b, nil
}
