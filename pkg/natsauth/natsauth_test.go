package natsauth_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/bursarhq/bursar/pkg/natsauth"
)

const deployments = "../../deployments"

func TestDeploymentsConfIsGenerated(t *testing.T) {
	t.Parallel()
	want, err := natsauth.Conf(natsauth.DefaultIdentities())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(deployments, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("deployments/nats.conf is not what the permission table says; run make nats-conf")
	}
}

// The configuration file and the embedded server give everybody the same permissions.
func TestConfMeansWhatTheTableSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ids := natsauth.DefaultIdentities()
	keys, err := natsauth.WriteDeployment(dir, ids)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	users, err := keys.Users()
	if err != nil {
		t.Fatal(err)
	}
	byKey := func(users []*server.NkeyUser) map[string]*server.Permissions {
		m := map[string]*server.Permissions{}
		for _, u := range users {
			m[u.Nkey] = u.Permissions
		}
		return m
	}
	got, want := byKey(opts.Nkeys), byKey(users)
	if len(got) != len(ids) || !reflect.DeepEqual(got, want) {
		t.Errorf("the file gives %d users other permissions than the %d of the table", len(got), len(want))
	}
	for key, p := range got {
		if p.Response != nil {
			t.Errorf("user %s may respond anywhere", key)
		}
	}
	if len(opts.Users) > 0 || opts.NoAuthUser != "" || opts.Host != "127.0.0.1" || !opts.SyncAlways {
		t.Errorf("users %v, without authorisation %q, host %s, sync always %v", opts.Users, opts.NoAuthUser, opts.Host, opts.SyncAlways)
	}
	if opts.Websocket.Port != 0 || opts.MQTT.Port != 0 || opts.LeafNode.Port != 0 || opts.Gateway.Port != 0 || opts.Cluster.Port != 0 {
		t.Error("a listener for something else than clients is open")
	}
}

func TestNobodyMayDestroyStreams(t *testing.T) {
	t.Parallel()
	for _, id := range natsauth.DefaultIdentities() {
		p, err := natsauth.For(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, subject := range p.Publish {
			for _, forbidden := range []string{"$JS.API.>", "$SYS", "STREAM.DELETE", "MSG.DELETE", "STREAM.RESTORE", "STREAM.SNAPSHOT"} {
				if subject == ">" || strings.Contains(subject, forbidden) {
					t.Errorf("%s may publish to %s", id, subject)
				}
			}
			if strings.Contains(subject, "PURGE") && id.Role != natsauth.RoleMaintenance {
				t.Errorf("%s may purge: %s", id, subject)
			}
			if strings.HasPrefix(subject, "$JS") && (id.Workspace != "" || strings.HasSuffix(string(id.Role), "-front")) {
				t.Errorf("%s, whom strangers reach, has the JetStream right %s", id, subject)
			}
		}
		if slices.Contains(p.Subscribe, ">") {
			t.Errorf("%s may read everything", id)
		}
	}
}

func TestIdentitiesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]natsauth.Identity{
		"unknown role":         {Role: "root"},
		"no role":              {},
		"agent without a name": natsauth.Agent("acme", ""),
		"agent of nowhere":     natsauth.Agent("", "ci"),
		"service with a name":  {Role: natsauth.RoleRelay, Workspace: "acme"},
	} {
		if _, err := natsauth.For(id); !errors.Is(err, natsauth.ErrIdentity) {
			t.Errorf("%s: %v, want ErrIdentity", name, err)
		}
	}
	if _, err := natsauth.Conf([]natsauth.Identity{natsauth.Agent("a", "b-c"), natsauth.Agent("a", "b_c")}); !errors.Is(err, natsauth.ErrIdentity) {
		t.Errorf("two principals whose variables are the same: %v", err)
	}
}

func TestKeysStayAndStaySecret(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	ci := natsauth.Agent("acme.inc", "ci runner")
	first, err := natsauth.LoadOrCreate(dir, ci, natsauth.Operator("acme.inc", "ann"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := natsauth.LoadOrCreate(dir) // finds the principals by itself
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Identities()) != len(first.Identities()) {
		t.Errorf("%d identities after reloading, %d before", len(again.Identities()), len(first.Identities()))
	}
	for _, id := range first.Identities() {
		if first.PublicKey(id) == "" || first.PublicKey(id) != again.PublicKey(id) {
			t.Errorf("%s has another key after reloading", id)
		}
	}
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	file, err := first.SeedFile(ci)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := natsauth.LoadOrCreate(dir); !errors.Is(err, natsauth.ErrSeed) {
		t.Errorf("a seed that others may read: %v", err)
	}
	if err := errors.Join(os.WriteFile(file, []byte("nonsense"), 0o600), os.Chmod(file, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := natsauth.LoadOrCreate(dir); !errors.Is(err, natsauth.ErrSeed) {
		t.Errorf("a file that is no seed: %v", err)
	}
	if _, err := natsauth.LoadOrCreate(t.TempDir(), natsauth.Service(natsauth.RoleRelay)); !errors.Is(err, natsauth.ErrIdentity) {
		t.Errorf("a service as a principal: %v", err)
	}
}
