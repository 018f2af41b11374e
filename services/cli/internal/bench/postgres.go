package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bursarhq/bursar/pkg/freeport"
)

//go:embed postgres.sql
var postgresSQL string

// maxPostgresConnections is where more connections, each a process, make PostgreSQL slower on rows that
// everyone locks. Tried with 256 clients on 2 processors, fsync: 4 gave 319 and 451 decisions a second,
// 8 gave 704 and 339, 16 gave 946 and 615, 32 gave 823 and 315, 64 gave 386 and 248.
const maxPostgresConnections = 16

// startPostgres starts one server; the durability class is a setting of the connection.
func (r *run) startPostgres(ctx context.Context) error {
	dsn, err := r.startPostgresServer(ctx)
	if err != nil {
		return err
	}
	for _, class := range []struct{ commit, name, durability string }{
		{"on", "fsync", ClassFsync},
		{"off", "page", ClassPageCache},
	} {
		r.sides = append(r.sides, side{
			description: description{
				Name: "postgres-" + class.name, System: "PostgreSQL, a function", Durability: class.durability,
				Setting: "synchronous_commit " + class.commit, Layout: fmt.Sprintf("pool of up to %d", maxPostgresConnections),
			},
			echo:      r.echoOf(class.durability),
			elsewhere: true,
			connect: func(ctx context.Context, clients int) (session, error) {
				return connectPostgres(ctx, dsn, class.commit, clients)
			},
		})
	}
	return nil
}

func (r *run) startPostgresServer(ctx context.Context) (dsn string, err error) {
	initdb, err := postgresProgram("initdb")
	if err != nil {
		return "", err
	}
	server, err := postgresProgram("postgres")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(r.options.Dir, "postgres")
	credential, err := postgresUser(r.options.Dir, dir)
	if err != nil {
		return "", err
	}
	attributes := &syscall.SysProcAttr{Credential: credential}
	making := exec.CommandContext(ctx, initdb, "-D", dir, "-A", "trust", "-U", "bench", "-E", "UTF8", "--no-locale")
	making.SysProcAttr, making.Dir = attributes, dir
	if out, err := making.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb in %s: %w: %s", dir, err, out)
	}
	ports, err := freeport.Find(ctx, 1)
	if err != nil {
		return "", err
	}
	port := ports[0]
	// The server is stopped by its closer, not by ctx, so that it can end in good order.
	cmd := exec.Command(server, "-D", dir, "-p", strconv.Itoa(port), "-k", dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=256MB", "-c", "fsync=on")
	cmd.SysProcAttr, cmd.Dir = attributes, dir
	dsn = fmt.Sprintf("host=127.0.0.1 port=%d user=bench dbname=postgres sslmode=disable", port)
	child, err := startChild(ctx, cmd, func(ctx context.Context) error { return pingPostgres(ctx, dsn) })
	if err != nil {
		return "", err
	}
	r.closers = append(r.closers, child.stop)
	return dsn, setUpPostgres(ctx, dsn)
}

// postgresProgram looks for a program of PostgreSQL in the path and where Debian keeps it.
func postgresProgram(name string) (string, error) {
	if found, err := exec.LookPath(name); err == nil {
		return found, nil
	}
	found, err := filepath.Glob(filepath.Join("/usr/lib/postgresql/*/bin", name))
	if err != nil || len(found) == 0 {
		return "", errNotInstalled
	}
	return found[len(found)-1], nil
}

// postgresUser makes the data folder and says as whom the server runs: PostgreSQL refuses to run as
// root, so root hands it to the user that its package made. nil means the current user.
func postgresUser(parent, dir string) (*syscall.Credential, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres: %w", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("read the ids of user postgres: %w", err)
	}
	if err := errors.Join(os.Chown(dir, int(uid), int(gid)), os.Chmod(parent, 0o711)); err != nil { // it must be able to enter
		return nil, fmt.Errorf("hand the folder to user postgres: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func pingPostgres(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return conn.Close(ctx)
}

func setUpPostgres(ctx context.Context, dsn string) (err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, postgresSQL); err != nil {
		return fmt.Errorf("set up the tables in PostgreSQL: %w", err)
	}
	return nil
}

type postgresSession struct {
	pool *pgxpool.Pool
	open []uuid.UUID // by client: the reservation it holds
}

func connectPostgres(ctx context.Context, dsn, commit string, clients int) (session, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("configure the pool: %w", err)
	}
	config.MaxConns = int32(min(clients, maxPostgresConnections))
	config.MinConns = config.MaxConns
	config.ConnConfig.RuntimeParams["synchronous_commit"] = commit
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	return &postgresSession{pool: pool, open: make([]uuid.UUID, clients)}, nil
}

func (s *postgresSession) reserve(ctx context.Context, client int) error {
	request, reservation := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	s.open[client] = reservation
	return s.ask(ctx, "granted", "SELECT reserve($1, $2, $3, $4)", request, reservation, int64(reserveAmount), reservationLife)
}

func (s *postgresSession) release(ctx context.Context, client int) error {
	return s.ask(ctx, "released", "SELECT release($1, $2)", uuid.Must(uuid.NewV7()), s.open[client])
}

func (s *postgresSession) ask(ctx context.Context, want, query string, args ...any) error {
	var got string
	if err := s.pool.QueryRow(ctx, query, args...).Scan(&got); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if got != want {
		return fmt.Errorf("postgres answered %q, not %q", got, want)
	}
	return nil
}

func (s *postgresSession) close() error {
	s.pool.Close()
	return nil
}
