package natsauth

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/wire"
)

// KeysInclude is the file that deployments/nats.conf takes the public keys from, relative to itself.
// It is made with the seeds (bursar-nkeys) and not part of the repository.
const KeysInclude = "secrets/nkeys.conf"

// DefaultWorkspace, DefaultAgent, DefaultOperator and DefaultViewer name principals of deployments/nats.conf as
// it lies in the repository, and of `bursar up`.
const (
	DefaultWorkspace = "default"
	DefaultAgent     = "demo"
	DefaultOperator  = "operator"
	DefaultViewer    = "bursar-page"
)

// DefaultAgents returns the principals of deployments/bursar.yaml that run agents: whom the configuration knows has
// credentials, and the other way round.
func DefaultAgents() []string { return []string{DefaultAgent, "demo-research", "demo-support"} }

// DefaultIdentities returns everybody in deployments/nats.conf: our services, the principals that run
// agents, one operator and the viewer of the page.
func DefaultIdentities() []Identity {
	var ids []Identity
	for _, role := range ServiceRoles() {
		ids = append(ids, Service(role))
	}
	for _, name := range DefaultAgents() {
		ids = append(ids, Agent(DefaultWorkspace, name))
	}
	return append(ids, Operator(DefaultWorkspace, DefaultOperator), Viewer(DefaultWorkspace, DefaultViewer))
}

// Conf returns a configuration file of nats-server for the given identities. It holds no key: the
// public ones come from [KeysInclude].
func Conf(ids []Identity) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, confHead, KeysInclude,
		natsembed.MaxPayloadBytes, natsembed.MaxControlLineBytes, natsembed.MaxConnections, natsembed.MaxSubscriptions)
	names := map[string]Identity{}
	for i, id := range ids {
		name, err := variable(id)
		if err != nil {
			return nil, err
		}
		if other, taken := names[name]; taken {
			return nil, fmt.Errorf("%w: %s and %s would share the variable %s", ErrIdentity, id, other, name)
		}
		names[name] = id
		p, err := For(id)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString("\n")
		}
		writeUser(&b, id, name, p)
	}
	b.WriteString("  ]\n}\n")
	return []byte(b.String()), nil
}

const confHead = `# The NATS server of Bursar. Generated from the permission table in pkg/natsauth; do not edit.
#
#   make nats-conf      makes the keys and this file anew
#   nats-server -c deployments/nats.conf
#
# No websocket, MQTT, leaf node or gateway listener. To listen elsewhere than on loopback, or to store elsewhere, include
# this file in one of your own that says so, as container.conf does: the server refuses -sd beside a store_dir.

# The public keys of the users below. The seeds lie beside it, one file each, mode 0600.
include %s

server_name: bursar
host: 127.0.0.1
port: 4222
http: 127.0.0.1:8222

max_payload: %d
max_control_line: %d
max_connections: %d
max_subscriptions: %d

jetstream {
  store_dir: data/nats
  # Durability: "always" syncs before every acknowledgement, so that a power cut loses nothing that
  # was acknowledged. "1s" and "2m" sync every so often and lose what came since.
  sync_interval: always
}

authorization {
  users: [
`

func writeUser(b *strings.Builder, id Identity, name string, p Permissions) {
	s := p.server()
	fmt.Fprintf(b, "    { # %s\n      nkey: $%s\n      permissions: {\n", id, name)
	writeList(b, "publish", s.Publish.Allow, s.Publish.Deny)
	writeList(b, "subscribe", s.Subscribe.Allow, s.Subscribe.Deny)
	b.WriteString("      }\n    }\n")
}

func writeList(b *strings.Builder, name string, allow, deny []string) {
	fmt.Fprintf(b, "        %s: {\n", name)
	for _, list := range []struct {
		name     string
		subjects []string
	}{{"allow", allow}, {"deny", deny}} {
		if len(list.subjects) == 0 {
			continue
		}
		fmt.Fprintf(b, "          %s: [\n", list.name)
		for _, s := range list.subjects {
			fmt.Fprintf(b, "            %q\n", s)
		}
		b.WriteString("          ]\n")
	}
	b.WriteString("        }\n")
}

// KeysConf returns the content of [KeysInclude]: the public key of each identity.
func (k *Keys) KeysConf(ids []Identity) ([]byte, error) {
	var b strings.Builder
	b.WriteString("# Public keys, made with the seeds that lie beside this file.\n")
	for _, id := range ids {
		name, err := variable(id)
		if err != nil {
			return nil, err
		}
		public := k.PublicKey(id)
		if public == "" {
			return nil, fmt.Errorf("%w: %s has no key", ErrIdentity, id)
		}
		fmt.Fprintf(&b, "%s: %s\n", name, public)
	}
	return []byte(b.String()), nil
}

// WriteDeployment makes the keys of the given identities in dir/secrets, where they are missing, and
// writes dir/secrets/nkeys.conf and dir/nats.conf: after it, `nats-server -c dir/nats.conf` starts.
func WriteDeployment(dir string, ids []Identity) (*Keys, error) {
	conf, err := Conf(ids)
	if err != nil {
		return nil, err
	}
	include := filepath.Join(dir, filepath.FromSlash(KeysInclude))
	keys, err := LoadOrCreate(filepath.Dir(include), slices.DeleteFunc(slices.Clone(ids), func(id Identity) bool {
		return !id.Role.principal()
	})...)
	if err != nil {
		return nil, err
	}
	public, err := keys.KeysConf(ids)
	if err != nil {
		return nil, err
	}
	const fileMode = 0o644 // neither file holds a secret
	if err := os.WriteFile(include, public, fileMode); err != nil {
		return nil, fmt.Errorf("write public keys: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nats.conf"), conf, fileMode); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return keys, nil
}

// variable is the name under which the configuration refers to an identity's public key.
func variable(id Identity) (string, error) {
	if err := id.Validate(); err != nil {
		return "", err
	}
	parts := []string{"BURSAR_NKEY", string(id.Role)}
	if id.Role.principal() {
		for _, name := range []string{id.Workspace, id.Principal} {
			token, err := wire.EncodeToken(name)
			if err != nil {
				return "", err
			}
			parts = append(parts, token)
		}
	}
	return strings.NewReplacer("-", "_", "=", "_").Replace(strings.Join(parts, "_")), nil
}
