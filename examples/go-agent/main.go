// Command go-agent is an agent in Go that does everything an agent does with Bursar: it estimates, reserves, reports as it
// goes, extends, settles, and meets every kind of refusal. It ends with status 0 only if all of it went as it should.
//
// It needs a running Bursar with the configuration examples/bursar.yaml:
//
//	bursar up --config examples/bursar.yaml --data-dir DIR
//	go run ./examples/go-agent --server nats://127.0.0.1:4222 --nkey DIR/keys/agents/default/examples.nk
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
)

// longestRun bounds the whole run.
const longestRun = 2 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, longestRun)
	defer cancel()
	if err := start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "go-agent:", err)
		os.Exit(1)
	}
}

// start connects as the principal that the flags or the environment name, and runs the agent.
func start(ctx context.Context) error {
	server := flag.String("server", os.Getenv("BURSAR_SERVER"), "`URL` of the NATS server ($BURSAR_SERVER)")
	nkey := flag.String("nkey", os.Getenv("BURSAR_NKEY"), "`FILE` with the nkey seed of the principal ($BURSAR_NKEY)")
	workspace := flag.String("workspace", or(os.Getenv("BURSAR_WORKSPACE"), "default"), "`NAME` of the workspace ($BURSAR_WORKSPACE)")
	principal := flag.String("principal", or(os.Getenv("BURSAR_PRINCIPAL"), "examples"), "`NAME` of the principal ($BURSAR_PRINCIPAL)")
	flag.Parse()
	if *server == "" {
		return errors.New("name the server with --server")
	}
	inbox, err := wire.InboxPrefix(*workspace, *principal)
	if err != nil {
		return err
	}
	options := []nats.Option{nats.Name("go-agent"), nats.CustomInboxPrefix(inbox)}
	if *nkey != "" {
		option, err := nats.NkeyOptionFromSeed(*nkey)
		if err != nil {
			return fmt.Errorf("read the seed: %w", err)
		}
		options = append(options, option)
	}
	nc, err := nats.Connect(*server, options...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", *server, err)
	}
	defer nc.Close()
	c, err := client.New(nc, client.Options{Workspace: *workspace, Principal: *principal, OnNotice: func(agent string, n wire.Notice) {
		_, _ = fmt.Fprintln(os.Stdout, agent, "is told that", n.ReservationID, "is", n.Kind)
	}})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // the process ends here
	e := &example{c.Agent("go-agent"), os.Stdout}
	if err := e.run(ctx); err != nil {
		return err
	}
	e.say("go-agent: the whole line worked\n")
	return nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
