package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/service"
)

// TestProvision runs the program against a real server that holds it to the permission table.
func TestProvision(t *testing.T) {
	t.Parallel()
	secrets := t.TempDir()
	keys, err := natsauth.LoadOrCreate(secrets)
	if err != nil {
		t.Fatal(err)
	}
	users, err := keys.Users()
	if err != nil {
		t.Fatal(err)
	}
	server, err := natsembed.Start(t.Context(), natsembed.Options{StoreDir: t.TempDir(), Users: users})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	seed, err := keys.SeedFile(natsauth.Service(natsauth.RoleProvisioning))
	if err != nil {
		t.Fatal(err)
	}
	common := []string{"-server", server.URL(), "-keys", filepath.Dir(seed), "-ledger-max-bytes", "67108864", "-events-max-bytes", "67108864"}
	steps := []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"nothing is there", []string{"-check"}, service.ExitFailure, "does not exist"},
		{"it is made", nil, service.ExitOK, ""},
		{"a second time nothing is to be done", nil, service.ExitOK, ""},
		{"the check agrees", []string{"-check"}, service.ExitOK, ""},
		{"another size is a difference", []string{"-check", "-ledger-max-bytes", "1073741824"}, service.ExitFailure, "another configuration"},
		{"which is not changed unasked", []string{"-ledger-max-bytes", "1073741824"}, service.ExitFailure, "-widen raises it"},
		{"it is widened", []string{"-widen", "-ledger-max-bytes", "1073741824"}, service.ExitOK, "stream widened"},
		{"and stays so", nil, service.ExitOK, ""},
		{"checked and widened", []string{"-check", "-widen"}, service.ExitFailure, "one of the two"},
		{"a size that makes no sense", []string{"-ledger-max-bytes", "-5"}, service.ExitFailure, "ledger"},
	}
	for _, step := range steps {
		var out strings.Builder
		status := service.Main(spec(), append(common[:len(common):len(common)], step.args...), &out, func(string) string { return "" })
		if status != step.status || !strings.Contains(strings.ToLower(out.String()), step.want) {
			t.Errorf("%s: status %d, want %d and %q in\n%s", step.name, status, step.status, step.want, out.String())
		}
	}
}
