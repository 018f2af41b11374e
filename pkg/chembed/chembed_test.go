package chembed_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
)

// envHost makes the test binary start a server in the directory it names, say so, and wait to be killed.
const envHost = "BURSAR_TEST_HOST"

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	if dir := os.Getenv(envHost); dir != "" {
		host(dir)
	}
	os.Exit(m.Run())
}

func host(dir string) {
	if _, err := chembed.Start(context.Background(), chembed.Options{Dir: dir}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

func TestChildEndsWithItsParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := osexec.Command(self)
	parent.Env = append(os.Environ(), envHost+"="+dir)
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("the parent said %q (%v), want ready", line, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	// While the child lives it holds the directory's lock.
	s, err := chembed.Start(t.Context(), chembed.Options{Dir: dir})
	if err != nil {
		t.Fatalf("after its parent was killed the child does not end: %v", err)
	}
	stop(t, s)
}

// start starts a server in a directory of its own and stops it when the test ends.
func start(t *testing.T) *chembed.Server {
	t.Helper()
	began := time.Now()
	s, err := chembed.Start(t.Context(), chembed.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %d ms", time.Since(began).Milliseconds())
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *chembed.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func open(t *testing.T, s *chembed.Server, user string) driver.Conn {
	t.Helper()
	opts, err := clickhouse.ParseDSN(s.DSN(user))
	if err != nil {
		t.Fatal(err)
	}
	if user == chembed.UserWriter {
		opts.Auth.Database = "" // the database is made by the tests
	}
	conn, err := clickhouse.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func exec(t *testing.T, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func count(t *testing.T, conn driver.Conn, query string) uint64 {
	t.Helper()
	var n uint64
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// createTable makes both databases and one table of numbers.
func createTable(t *testing.T, writer driver.Conn) {
	t.Helper()
	exec(t, writer,
		"CREATE DATABASE bursar ENGINE = Atomic",
		"CREATE DATABASE analyst ENGINE = Atomic",
		"CREATE TABLE bursar.numbers (n UInt64, at DateTime64(3, 'UTC')) ENGINE = ReplacingMergeTree ORDER BY n",
		"CREATE VIEW analyst.numbers AS SELECT n FROM bursar.numbers FINAL",
	)
}

func insert(t *testing.T, conn driver.Conn, from, to uint64) {
	t.Helper()
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO bursar.numbers")
	if err != nil {
		t.Fatal(err)
	}
	for n := from; n < to; n++ {
		if err := batch.Append(n, time.UnixMilli(int64(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

func TestUnmodifiedClient(t *testing.T) {
	t.Parallel()
	s := start(t)
	writer := open(t, s, chembed.UserWriter)
	if err := writer.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	createTable(t, writer)
	insert(t, writer, 0, 1000)
	insert(t, writer, 0, 1000)
	if got := count(t, writer, "SELECT count() FROM bursar.numbers FINAL"); got != 1000 {
		t.Errorf("%d rows after the same insert twice, want 1000", got)
	}
	ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{"least": "990"}))
	var n uint64
	if err := writer.QueryRow(ctx, "SELECT count() FROM bursar.numbers FINAL WHERE n >= {least:UInt64}").Scan(&n); err != nil || n != 10 {
		t.Errorf("a query with a parameter counted %d (%v), want 10", n, err)
	}
	err := writer.Exec(t.Context(), "SELECT no_such_column FROM bursar.numbers")
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) || exception.Code != 47 {
		t.Errorf("an unknown column gave %v, want an exception with code 47", err)
	}
}

func TestKilledChildComesBackAtTheSameAddress(t *testing.T) {
	t.Parallel()
	s := start(t)
	address := s.URL()
	writer := open(t, s, chembed.UserWriter)
	createTable(t, writer)
	insert(t, writer, 0, 500)
	for round := int64(1); round <= 2; round++ {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		awaitRestart(t, s, round)
		t.Logf("answers again %d ms after SIGKILL", time.Since(killed).Milliseconds())
		if got := count(t, writer, "SELECT count() FROM bursar.numbers"); got != 500 {
			t.Errorf("%d rows after SIGKILL, want the 500 that were acknowledged", got)
		}
	}
	if s.URL() != address {
		t.Errorf("the address changed from %s to %s", address, s.URL())
	}
}

func awaitRestart(t *testing.T, s *chembed.Server, restarts int64) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for s.Restarts() < restarts {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not restarted within 30 s (%d restarts)", s.Restarts())
		}
	}
}

func TestUsersAreConfined(t *testing.T) {
	t.Parallel()
	s := start(t)
	writer := open(t, s, chembed.UserWriter)
	createTable(t, writer)
	insert(t, writer, 0, 10)
	analyst := open(t, s, chembed.UserAnalyst)
	if got := count(t, analyst, "SELECT count() FROM numbers"); got != 10 {
		t.Errorf("the analyst counts %d rows in the view, want 10", got)
	}
	if got := count(t, analyst, "SELECT toUInt64(getSetting('max_execution_time'))"); got != 60 {
		t.Errorf("the analyst's time limit is %d s, want 60", got)
	}
	for name, c := range map[string]struct {
		conn      driver.Conn
		statement string
	}{
		"analyst inserts":               {analyst, "INSERT INTO bursar.numbers SELECT 1, now64()"},
		"analyst drops":                 {analyst, "DROP TABLE bursar.numbers"},
		"analyst creates":               {analyst, "CREATE TABLE analyst.x (n UInt64) ENGINE = MergeTree ORDER BY n"},
		"analyst truncates":             {analyst, "TRUNCATE TABLE bursar.numbers"},
		"analyst reads a file":          {analyst, "SELECT * FROM file('/etc/passwd', 'LineAsString')"},
		"analyst reads a URL":           {analyst, "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')"},
		"analyst lifts its limit":       {analyst, "SELECT 1 SETTINGS max_execution_time = 100000"},
		"analyst kills":                 {analyst, "KILL QUERY WHERE 1"},
		"writer reads a file":           {writer, "SELECT * FROM file('/etc/passwd', 'LineAsString')"},
		"writer writes a file":          {writer, "INSERT INTO FUNCTION file('x.tsv', 'TSV', 'n UInt64') SELECT 1"},
		"writer creates a file table":   {writer, "CREATE TABLE bursar.f (n UInt64) ENGINE = File(TSV)"},
		"writer creates a foreign base": {writer, "CREATE DATABASE other ENGINE = Atomic"},
		"writer stops listening":        {writer, "SYSTEM STOP LISTEN HTTP"},
	} {
		err := c.conn.Exec(t.Context(), c.statement)
		var exception *clickhouse.Exception
		if !errors.As(err, &exception) {
			t.Errorf("%s: %v, want a refusal by the server", name, err)
			continue
		}
		switch exception.Code {
		case 164, 291, 452, 497: // readonly, access denied, setting out of bounds, not enough privileges
		default:
			t.Errorf("%s: refused with code %d (%s), want a refusal for lack of rights", name, exception.Code, exception.Message)
		}
	}
}

func TestEngineUserIsKeptOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, change := range map[string]func(*http.Request){
		"nobody":                 func(*http.Request) {},
		"basic":                  func(r *http.Request) { r.SetBasicAuth("default", "") },
		"header":                 func(r *http.Request) { r.Header.Set("X-ClickHouse-User", "default") },
		"query":                  func(r *http.Request) { r.URL.RawQuery = "user=default" },
		"query beside header":    func(r *http.Request) { r.SetBasicAuth(chembed.UserAnalyst, "x"); r.URL.RawQuery = "user=default" },
		"second header":          func(r *http.Request) { r.Header["X-Clickhouse-User"] = []string{chembed.UserAnalyst, "default"} },
		"empty":                  func(r *http.Request) { r.Header.Set("X-ClickHouse-User", "") },
		"malformed query":        func(r *http.Request) { r.SetBasicAuth(chembed.UserAnalyst, "x"); r.URL.RawQuery = "user=default;a=%zz" },
		"own gate, wrong secret": func(r *http.Request) { r.Header.Set("X-Bursar-Gate", "x"); r.SetBasicAuth("default", "") },
	} {
		status, body := request(t, s.URL(), change)
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d %q, want 401", name, status, body)
		}
	}
	status, body := request(t, s.URL(), func(r *http.Request) { r.SetBasicAuth(chembed.UserAnalyst, "guess") })
	if status == http.StatusOK || !strings.Contains(body, "516") {
		t.Errorf("a wrong password: %d %q, want exception 516", status, body)
	}
	// Past the proxy, at the engine's own port, nothing is answered without the gate.
	raw, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	raw.Host = "127.0.0.1:" + readyPort(t, s)
	for name, change := range map[string]func(*http.Request){
		"default": func(*http.Request) {},
		"writer":  func(r *http.Request) { r.SetBasicAuth(chembed.UserWriter, "x") },
		"gate":    func(r *http.Request) { r.Header.Set("X-Bursar-Gate", "x") },
	} {
		if status, body := request(t, raw.String(), change); status != http.StatusNotFound {
			t.Errorf("%s at the engine's port: %d %q, want 404", name, status, body)
		}
	}
}

func readyPort(t *testing.T, s *chembed.Server) string {
	t.Helper()
	dir := filepath.Dir(s.PasswordFile(chembed.UserWriter))
	raw, err := os.ReadFile(filepath.Join(dir, "ready.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// request posts SELECT 1 and returns the answer.
func request(t *testing.T, address string, change func(*http.Request)) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("SELECT 1"))
	if err != nil {
		t.Fatal(err)
	}
	change(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func TestAbandonedQueryEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	writer := open(t, s, chembed.UserWriter)
	createTable(t, writer)
	analyst := open(t, s, chembed.UserAnalyst)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- analyst.Exec(ctx, "SELECT count() FROM numbers_mt(1000000000000) WHERE NOT ignore(sipHash64(number))")
	}()
	running := "SELECT count() FROM system.processes WHERE query LIKE '%numbers_mt(1000000000000)%' AND user = 'bursar_analyst'"
	awaitCount(t, writer, running, 1)
	cancel()
	if err := <-done; err == nil {
		t.Error("the cancelled query succeeded")
	}
	awaitCount(t, writer, running, 0)
}

func awaitCount(t *testing.T, conn driver.Conn, query string, want uint64) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for count(t, conn, query) != want {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s is not %d after 20 s", query, want)
		}
	}
}

func TestStopAndStartAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := chembed.Start(t.Context(), chembed.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	createTable(t, open(t, s, chembed.UserWriter))
	dsn := strings.Replace(s.DSN(chembed.UserWriter), s.URL(), "", 1)
	soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := chembed.Start(soon, chembed.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another process uses the data directory") {
		t.Errorf("a second server on the same directory: %v", err)
	}
	stop(t, s)
	stop(t, s)
	if err := s.Kill(); err == nil {
		t.Error("killing a stopped server succeeded")
	}
	again, err := chembed.Start(t.Context(), chembed.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, again)
	if got := count(t, open(t, again, chembed.UserWriter), "SELECT count() FROM bursar.numbers"); got != 0 {
		t.Errorf("%d rows in the table after a restart, want 0", got)
	}
	if a, b := password(t, dsn), password(t, again.DSN(chembed.UserWriter)); a != b {
		t.Error("the writer's password changed with the restart")
	}
	info, err := os.Stat(again.PasswordFile(chembed.UserWriter))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the password file has mode %o, want 600", mode)
	}
}

func password(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := u.User.Password()
	return secret
}

func TestNoLibrarySaysWhatToType(t *testing.T) {
	t.Setenv(chembed.EnvLibrary, filepath.Join(t.TempDir(), "libchdb.so"))
	_, err := chembed.Start(t.Context(), chembed.Options{Dir: t.TempDir()})
	if !errors.Is(err, chembed.ErrNoLibrary) || !strings.Contains(err.Error(), chembed.EnvLibrary) {
		t.Errorf("with a wrong %s: %v", chembed.EnvLibrary, err)
	}
	t.Setenv(chembed.EnvLibrary, "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Chdir(t.TempDir())
	_, err = chembed.FindLibrary()
	if !errors.Is(err, chembed.ErrNoLibrary) || !strings.Contains(err.Error(), "scripts/install-clickhouse.sh") {
		t.Errorf("without a library anywhere: %v", err)
	}
}

func TestFilesEqualThoseForOtherServers(t *testing.T) {
	t.Parallel()
	const canonical = "../../deployments/clickhouse"
	for _, dir := range []string{"config.d", "users.d"} {
		want := readTree(t, filepath.Join(canonical, dir))
		got := readTree(t, filepath.Join("files", dir))
		if len(want) == 0 || len(want) != len(got) {
			t.Errorf("%s holds %d files here and %d in deployments: run go generate", dir, len(got), len(want))
		}
		for name, content := range want {
			if got[name] != content {
				t.Errorf("%s/%s differs from deployments/clickhouse: run go generate", dir, name)
			}
		}
	}
	pin, err := os.ReadFile("../../deployments/chdb/package.json")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(pin), `"`+chembed.Version+`"`) {
		t.Errorf("deployments/chdb/package.json does not pin %s", chembed.Version)
	}
}

func readTree(t *testing.T, root string) map[string]string {
	t.Helper()
	contents := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(root, name))
		contents[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return contents
}
