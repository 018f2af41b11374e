package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed/natsproc"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
)

// TestUpOnServersElsewhere runs a system on a nats-server process with the deployment's configuration and on a
// ClickHouse of somebody else. It starts nothing of its own, and both keep what was stored when it ends.
func TestUpOnServersElsewhere(t *testing.T) {
	t.Parallel()
	nats, dir := natsElsewhere(t)
	clickhouse := startClickHouse(t)
	run := func(more ...string) *instance {
		return up(t, dir, append([]string{"--nats-url", nats.URL, "--clickhouse-url", clickhouse.DSN(chembed.UserWriter), "--keep-events-days", "40"}, more...)...)
	}
	verify := func() verifyDocument {
		// Only the owner of a ClickHouse knows its password: verify has to be told.
		env := map[string]string{datadir.EnvDir: dir, envClickHouse: clickhouse.DSN(chembed.UserWriter)}
		return document[verifyDocument](t, bursar(t, env, "verify", "--wait", "60s", "--json").stdout)
	}
	i := run()
	if i.ready.NATS != nats.URL || i.ready.ClickHouse != clickhouse.URL() {
		t.Errorf("it serves at %+v, want %s and %s", i.ready, nats.URL, clickhouse.URL())
	}
	if strings.Contains(i.ready.ClickHouse, "@") {
		t.Error("the address of ClickHouse tells a password")
	}
	if definition := definitionOfEvents(t, clickhouse); !strings.Contains(definition, "toIntervalDay(40)") || !strings.Contains(definition, "PARTITION BY toYYYYMM(committed_at)") {
		t.Errorf("events are not kept for 40 days, by month: %s", definition)
	}
	for _, own := range []string{datadir.Dir(dir).NATS(), datadir.Dir(dir).ClickHouse()} {
		if _, err := os.Stat(own); err == nil {
			t.Errorf("%s is there: a server of its own was started", own)
		}
	}
	granted := ask[wire.ReservationReply](i, "reserve", "--principal", demoPrincipal, "--agent", "a1", "--provider", "claude", "--model", "claude-sonnet-5", "--output", "500")
	i.do(ExitOK, "settle", granted.ReservationID, "--principal", demoPrincipal, "--agent", "a1", "--output", "400")
	if doc := verify(); !doc.OK || doc.Reservations != 1 || doc.ClickHouse.Missing != 0 {
		t.Errorf("verify: %+v", doc)
	}
	if status := i.stop(); status != ExitOK {
		t.Errorf("up ended with %d", status)
	}
	i = run("--event-partitions", "day")
	if doc := verify(); !doc.OK || doc.Reservations != 1 {
		t.Errorf("after a restart with other partitions: %+v", doc)
	}
	if status := i.stop(); status != ExitOK {
		t.Errorf("up ended with %d", status)
	}
	run()
	if doc := verify(); !doc.OK || doc.Reservations != 1 {
		t.Errorf("after a restart: %+v", doc)
	}
	if definition := definitionOfEvents(t, clickhouse); !strings.Contains(definition, "toIntervalDay(40)") || !strings.Contains(definition, "PARTITION BY toDate(committed_at)") {
		t.Errorf("events are not kept for 40 days, by day: %s", definition)
	}
}

// TestUpRefusedElsewhere wants a server that does not know the keys, and an address that is none, to be told.
func TestUpRefusedElsewhere(t *testing.T) {
	t.Parallel()
	nats, _ := natsproc.StartDeployment(t, t.TempDir(), natsauth.DefaultIdentities())
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"keys that the server does not know": {[]string{"--nats-url", nats.URL, "--clickhouse-port", "0"}, "has to know the keys in"},
		"no server there":                    {[]string{"--nats-url", "nats://127.0.0.1:1", "--clickhouse-port", "0"}, "does a server run at"},
		"no address of ClickHouse":           {[]string{"--nats-port", "0", "--clickhouse-url", "not a URL"}, "--clickhouse-url is not a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := bursar(t, nil, append([]string{"up", "--data-dir", t.TempDir(), "--sync", "2m", "--page-listen", "off"}, tc.args...)...)
			if got.status != ExitFailure || !strings.Contains(got.stderr, tc.want) {
				t.Errorf("status %d, %q; want %q", got.status, got.stderr, tc.want)
			}
		})
	}
}

// TestUpRefusesRetentions wants days that make no sense to be told before anything is started.
func TestUpRefusesRetentions(t *testing.T) {
	t.Parallel()
	for _, days := range []string{"1", "34", "10001", "99999999999999999", "-3", "many"} {
		dir := filepath.Join(t.TempDir(), "data")
		got := bursar(t, nil, "up", "--data-dir", dir, "--keep-events-days", days)
		if got.status != ExitUsage || !strings.Contains(got.stderr, "keep-events-days") {
			t.Errorf("%s days: status %d, %q", days, got.status, got.stderr)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s days: %s was made", days, dir)
		}
	}
}

// TestUpRefusesPartitions wants a word that is none to be told before anything is started.
func TestUpRefusesPartitions(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	got := bursar(t, nil, "up", "--data-dir", dir, "--event-partitions", "year")
	if got.status != ExitUsage || !strings.Contains(got.stderr, `--event-partitions: partitions of events are by month, week or day, not "year"`) {
		t.Errorf("status %d, %q", got.status, got.stderr)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s was made", dir)
	}
}

// natsElsewhere starts a nats-server process with the deployment's configuration, and makes a data directory with the seeds
// that the server knows: those that `bursar up` is to use, as docs/nats.md says.
func natsElsewhere(t *testing.T) (nats *natsproc.Server, dir string) {
	t.Helper()
	deployment, dir := t.TempDir(), t.TempDir()
	nats, _ = natsproc.StartDeployment(t, deployment, natsauth.DefaultIdentities())
	if err := os.CopyFS(datadir.Dir(dir).Keys(), os.DirFS(filepath.Join(deployment, "secrets"))); err != nil {
		t.Fatal(err)
	}
	makePrivate(t, datadir.Dir(dir).Keys())
	return nats, dir
}

// definitionOfEvents returns how the table of events is kept.
func definitionOfEvents(t *testing.T, s *chembed.Server) string {
	t.Helper()
	options, err := clickhouse.ParseDSN(s.DSN(chembed.UserWriter))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var definition string
	if err := conn.QueryRow(t.Context(), "SELECT engine_full FROM system.tables WHERE database = 'bursar' AND name = 'ledger_events'").Scan(&definition); err != nil {
		t.Fatal(err)
	}
	return definition
}

func startClickHouse(t *testing.T) *chembed.Server {
	t.Helper()
	s, err := chembed.Start(t.Context(), chembed.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop ClickHouse: %v", err)
		}
	})
	return s
}

// makePrivate takes from others what copying gave them.
func makePrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCreds connects with a credentials file, as operators of NATS hand out, to a server that knows accounts by JWT
// only. The user has the rights of an operator of Bursar and no other inbox.
func TestCreds(t *testing.T) {
	t.Parallel()
	site := newJWTSite(t)
	front, err := nats.Connect(site.url, nats.UserCredentials(site.creds(t, "front", jwt.Permissions{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	subject := strings.Join([]string{wire.SubjectRoot, wire.SubjectVersion, natsauth.DefaultWorkspace, string(wire.KindAdmin), "ops", wire.VerbAccounts}, ".")
	_, err = front.Subscribe(subject, func(m *nats.Msg) {
		_ = m.Respond(wire.AppendReply(nil, &wire.AccountsReply{Now: wire.TimeOf(quota.InstantOf(time.Now())), Accounts: []wire.Account{}})) // else the command fails
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	rights, err := natsauth.For(natsauth.Operator(natsauth.DefaultWorkspace, "ops"))
	if err != nil {
		t.Fatal(err)
	}
	operator := site.creds(t, "ops", jwt.Permissions{
		Pub: jwt.Permission{Allow: rights.Publish}, Sub: jwt.Permission{Allow: rights.Subscribe},
	})
	stranger := newJWTSite(t).creds(t, "ops", jwt.Permissions{})
	ask := func(env map[string]string, args ...string) result {
		return bursar(t, env, append([]string{"accounts", "--json", "--server", site.url, "--principal", "ops"}, args...)...)
	}
	if got := ask(nil, "--creds", operator); got.status != ExitOK {
		t.Errorf("--creds: status %d, %s%s", got.status, got.stdout, got.stderr)
	}
	if got := ask(map[string]string{envCreds: operator}); got.status != ExitOK {
		t.Errorf("$%s: status %d, %s%s", envCreds, got.status, got.stdout, got.stderr)
	}
	if got := ask(nil, "--creds", stranger); got.status != ExitFailure || !strings.Contains(got.stdout, "refuses the credentials") {
		t.Errorf("credentials of another site: status %d, %s", got.status, got.stdout)
	}
	if got := ask(nil, "--creds", operator, "--nkey", operator); got.status != ExitUsage {
		t.Errorf("--creds and --nkey: status %d", got.status)
	}
	if got := ask(nil, "--creds", filepath.Join(t.TempDir(), "absent.creds")); got.status != ExitFailure {
		t.Errorf("a file that is not there: status %d", got.status)
	}
}

// jwtSite is a server that knows one account, by JWT.
type jwtSite struct {
	url     string
	account nkeys.KeyPair
}

func newJWTSite(t *testing.T) *jwtSite {
	t.Helper()
	operator, account := newPair(t, nkeys.CreateOperator), newPair(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(public(t, account))
	token, err := claims.Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(claims.Subject, token); err != nil {
		t.Fatal(err)
	}
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		TrustedKeys: []string{public(t, operator)}, AccountResolver: resolver,
	})
	if err != nil {
		t.Fatal(err)
	}
	go ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(startLimit) {
		t.Fatal("the server did not start")
	}
	return &jwtSite{ns.ClientURL(), account}
}

// creds makes a user of the account and writes its credentials file.
func (s *jwtSite) creds(t *testing.T, name string, rights jwt.Permissions) string {
	t.Helper()
	user := newPair(t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(public(t, user))
	claims.Name, claims.Permissions = name, rights
	token, err := claims.Encode(s.account)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name+".creds")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func newPair(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func public(t *testing.T, pair nkeys.KeyPair) string {
	t.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestUpTakesPasswordsFromTheEnvironment: the command line is no place for them.
func TestUpTakesPasswordsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		url, want string
		env       map[string]string
	}{
		"a password":           {"http://ann@h:8123", "http://ann:pw@h:8123", map[string]string{analytics.EnvPassword: "pw"}},
		"none":                 {"http://ann@h:8123", "http://ann@h:8123", nil},
		"one in the URL":       {"http://ann:own@h:8123", "http://ann:own@h:8123", map[string]string{analytics.EnvPassword: "pw"}},
		"the embedded server":  {"", "", map[string]string{analytics.EnvPassword: "pw"}},
		"a file that is there": {"http://h:8123", "http://bursar_writer@h:8123", map[string]string{analytics.EnvPasswordFile: os.DevNull}},
	} {
		c := &upCommand{app: &app{process: Process{Getenv: func(key string) string { return tt.env[key] }}}}
		c.config.ClickHouseURL = tt.url
		if err := c.completeClickHouse(); err != nil || strings.Replace(c.config.ClickHouseURL, ":@", "@", 1) != tt.want {
			t.Errorf("%s: %q, %v, want %q", name, c.config.ClickHouseURL, err, tt.want)
		}
	}
	got := bursar(t, map[string]string{analytics.EnvPasswordFile: "/nowhere"}, "up", "--data-dir", filepath.Join(t.TempDir(), "d"), "--clickhouse-url", "http://h:8123")
	if got.status != ExitUsage || !strings.Contains(got.stderr, "/nowhere") {
		t.Errorf("a file that is not there: %+v", got)
	}
}
