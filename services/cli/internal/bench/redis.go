package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bursarhq/bursar/pkg/freeport"
)

//go:embed reserve.lua
var reserveLua string

//go:embed release.lua
var releaseLua string

const (
	limitCapacity    = 1 << 50 // never reached: the benchmark measures grants
	reserveAmount    = 1000
	reservationLife  = 4 * time.Hour
	requestMemory    = 24 * time.Hour
	redisIdleTimeout = 5 * time.Second
)

// startRedis starts one server for each durability class, with two ways of connecting to each: a
// connection per client, as is usual, and few connections with automatic pipelining, which is the
// counterpart of sharing a NATS connection.
func (r *run) startRedis(ctx context.Context) error {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return errNotInstalled
	}
	for _, class := range []struct{ fsync, name, durability string }{
		{"always", "fsync", ClassFsync},
		{"everysec", "page", ClassPageCache},
	} {
		addr, err := r.startRedisServer(ctx, program, class.fsync)
		if err != nil {
			return err
		}
		single := side{echo: r.echoOf(class.durability), elsewhere: true, description: description{
			Name: "redis-" + class.name, System: "Redis, a Lua script", Durability: class.durability,
			Setting: "appendfsync " + class.fsync, Layout: "one per client",
		}}
		single.connect = func(ctx context.Context, clients int) (session, error) {
			return connectRedis(ctx, addr, clients, false)
		}
		shared := single
		shared.Name, shared.Layout = single.Name+"-pipe", r.sharedLayout()+", pipelined"
		shared.connect = func(ctx context.Context, _ int) (session, error) {
			return connectRedis(ctx, addr, r.options.Connections, true)
		}
		r.sides = append(r.sides, single, shared)
	}
	return nil
}

func (r *run) startRedisServer(ctx context.Context, program, fsync string) (addr string, err error) {
	dir := filepath.Join(r.options.Dir, "redis-"+fsync)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for Redis: %w", err)
	}
	ports, err := freeport.Find(ctx, 1)
	if err != nil {
		return "", err
	}
	port := ports[0]
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	// The server is stopped by its closer, not by ctx, so that it can end in good order.
	cmd := exec.Command(program, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--maxclients", strconv.Itoa(2*maxClients))
	probe := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { err = errors.Join(err, probe.Close()) }()
	server, err := startChild(ctx, cmd, func(ctx context.Context) error { return probe.Ping(ctx).Err() })
	if err != nil {
		return "", err
	}
	r.closers = append(r.closers, server.stop)
	for _, limit := range redisLimits() {
		if err := probe.HSet(ctx, limit, "capacity", limitCapacity, "used", 0, "held", 0).Err(); err != nil {
			return "", fmt.Errorf("set up the limits in Redis: %w", err)
		}
	}
	return addr, nil
}

func redisLimits() []string { return []string{"limit:session", "limit:day", "limit:team"} }

// redisSession runs the two scripts, by their hash, as a program that uses Redis would.
type redisSession struct {
	client            *redis.Client
	do                redis.Scripter // the client, or its pipeliner
	reserving, ending *redis.Script
	serial            atomic.Int64
	open              []string // by client: the reservation it holds
	prefix            string
}

func connectRedis(ctx context.Context, addr string, connections int, pipelined bool) (session, error) {
	options := &redis.Options{
		Addr: addr, PoolSize: connections, MinIdleConns: connections, MaxRetries: -1,
		ReadTimeout: opTimeout, WriteTimeout: opTimeout, PoolTimeout: opTimeout,
	}
	s := &redisSession{
		client: redis.NewClient(options), reserving: redis.NewScript(reserveLua), ending: redis.NewScript(releaseLua),
		open: make([]string, maxClients), prefix: strconv.FormatInt(time.Now().UnixNano(), 36),
	}
	s.do = s.client
	if pipelined {
		pipeliner, err := s.client.AutoPipeline()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("pipeline: %w", err), s.client.Close())
		}
		s.do = pipeliner
	}
	for _, script := range []*redis.Script{s.reserving, s.ending} {
		if err := script.Load(ctx, s.client).Err(); err != nil {
			return nil, errors.Join(fmt.Errorf("load a script: %w", err), s.client.Close())
		}
	}
	return s, nil
}

func (s *redisSession) reserve(ctx context.Context, client int) error {
	id := s.prefix + "-" + strconv.FormatInt(s.serial.Add(1), 36)
	s.open[client] = id
	expires := time.Now().Add(reservationLife).UnixMilli()
	return expect("granted", s.reserving.EvalSha(ctx, s.do, s.keys(id, "r"),
		reserveAmount, id, expires, int(requestMemory.Seconds())))
}

func (s *redisSession) release(ctx context.Context, client int) error {
	id := s.open[client]
	return expect("released", s.ending.EvalSha(ctx, s.do, s.keys(id, "e"), id, int(requestMemory.Seconds())))
}

func (s *redisSession) keys(id, verb string) []string {
	return append(redisLimits(), "reservation:"+id, "request:"+verb+id, "expiry", "log")
}

func expect(want string, answer *redis.Cmd) error {
	got, err := answer.Text()
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if got != want {
		return fmt.Errorf("redis answered %q, not %q", got, want)
	}
	return nil
}

func (s *redisSession) close() error { return s.client.Close() }
