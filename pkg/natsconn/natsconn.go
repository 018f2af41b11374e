// Package natsconn opens connections to NATS: by address, by NATS context, or to a server in the same
// process, with an nkey where asked.
//
// It guarantees a named connection that reconnects for ever, logs what happens to it through slog, and
// tells a caller at once when a message cannot be sent: nothing is buffered while disconnected, so
// that no message is delivered long after its sender gave up on it.
//
// Callers must tolerate that publishing fails while disconnected, and share one connection among
// many users: the client multiplexes, and a connection each is several times slower.
package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/jsm.go/natscontext"
	"github.com/nats-io/nats.go"
)

// Timing of connections.
const (
	// DialTimeout bounds one attempt to connect.
	DialTimeout = 5 * time.Second
	// ReconnectWait is the pause between attempts, and ReconnectJitter what is added at random so
	// that clients do not come back in step.
	ReconnectWait   = 250 * time.Millisecond
	ReconnectJitter = 250 * time.Millisecond
	// PingInterval and MaxPings find a dead server that never closed the connection: within 15 s.
	PingInterval = 5 * time.Second
	MaxPings     = 2
	// DrainTimeout bounds the draining of a connection.
	DrainTimeout = 10 * time.Second

	noReconnectBuffer = -1
	forever           = -1
)

// ErrNoServer: the configuration names neither an address, nor a context, nor a server in process.
var ErrNoServer = errors.New("no server to connect to: give an address or a NATS context")

// Config says whom to connect to and as whom.
type Config struct {
	// Name of the connection, shown by the server's monitoring. Required.
	Name string
	// URL of the server, or several with commas between them. It overrides the context's.
	URL string
	// Context is the name of a NATS context (`nats context ls`), or the path of a context file.
	Context string
	// InProcess is a server in this process; it overrides URL and Context's address.
	InProcess nats.InProcessConnProvider
	// NkeySeedFile holds the seed to authenticate with. It overrides the context's credentials.
	NkeySeedFile string
	// CredsFile holds a user's JWT and seed, as operators of NATS hand out. It overrides the context's credentials.
	CredsFile string
	// InboxPrefix is where replies arrive, see wire.InboxPrefix. It overrides the context's.
	InboxPrefix string
	// Wait keeps trying until ctx ends when the server cannot be reached at first.
	Wait bool
	// Log receives what happens to the connection; nil discards it.
	Log *slog.Logger
}

// Connect opens a connection. With Wait it tries until ctx ends, else once; a refusal of the
// credentials is returned at once either way. Errors: [ErrNoServer], [nats.ErrAuthorization],
// [nats.ErrNoServers], those of reading a context or a seed, and ctx's.
func Connect(ctx context.Context, cfg Config) (*nats.Conn, error) {
	url, options, err := cfg.options()
	if err != nil {
		return nil, fmt.Errorf("connection %q: %w", cfg.Name, err)
	}
	for told := false; ; {
		nc, err := nats.Connect(url, options...)
		if err == nil {
			if told {
				cfg.logger().Info("connected", "server", nc.ConnectedUrlRedacted())
			}
			return nc, nil
		}
		if !cfg.Wait || !temporary(err) {
			return nil, fmt.Errorf("connect %q to nats: %w", cfg.Name, err)
		}
		if !told {
			cfg.logger().Warn("no NATS server answers; waiting for one", "server", redacted(url), "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect %q to nats: %w", cfg.Name, errors.Join(ctx.Err(), err))
		case <-time.After(ReconnectWait):
		}
	}
}

// temporary reports whether another attempt may succeed: the server is away, as opposed to refusing us.
func temporary(err error) bool {
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrConnectionClosed)
}

func (cfg Config) options() (string, []nats.Option, error) {
	if cfg.Name == "" {
		return "", nil, errors.New("the connection has no name")
	}
	url, options := cfg.URL, []nats.Option(nil)
	if cfg.Context != "" {
		nctx, err := loadContext(cfg.Context)
		if err != nil {
			return "", nil, err
		}
		if options, err = nctx.NATSOptions(); err != nil {
			return "", nil, fmt.Errorf("nats context %q: %w", cfg.Context, err)
		}
		if url == "" {
			url = nctx.ServerURL()
		}
	}
	if url == "" && cfg.InProcess == nil {
		return "", nil, ErrNoServer
	}
	options = append(options, cfg.standing()...)
	if cfg.NkeySeedFile != "" {
		nkey, err := nats.NkeyOptionFromSeed(cfg.NkeySeedFile)
		if err != nil {
			return "", nil, fmt.Errorf("nkey seed file %s: %w", cfg.NkeySeedFile, err)
		}
		options = append(options, onlyNkey(nkey))
	}
	if cfg.CredsFile != "" {
		options = append(options, onlyCreds(cfg.CredsFile))
	}
	if cfg.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(cfg.InboxPrefix))
	}
	if cfg.InProcess != nil {
		options = append(options, nats.InProcessServer(cfg.InProcess))
	}
	return url, options, nil
}

// loadContext reads a context by name or, when it looks like one, by path.
func loadContext(name string) (*natscontext.Context, error) {
	load := func() (*natscontext.Context, error) { return natscontext.New(name, true) }
	if strings.ContainsAny(name, "/\\") || strings.HasSuffix(name, ".json") {
		load = func() (*natscontext.Context, error) { return natscontext.NewFromFile(name) }
	}
	nctx, err := load()
	if err != nil {
		return nil, fmt.Errorf("nats context %q: %w", name, err)
	}
	return nctx, nil
}

// onlyNkey applies an nkey and forgets other credentials a context may have set.
func onlyNkey(nkey nats.Option) nats.Option {
	return func(o *nats.Options) error {
		o.User, o.Password, o.Token = "", "", ""
		o.UserJWT, o.TokenHandler, o.UserInfo = nil, nil, nil
		return nkey(o)
	}
}

// onlyCreds applies a credentials file and forgets other credentials a context may have set. The file is read anew at
// each connect, so that it may be renewed.
func onlyCreds(file string) nats.Option {
	return func(o *nats.Options) error {
		o.User, o.Password, o.Token, o.Nkey = "", "", "", ""
		o.TokenHandler, o.UserInfo = nil, nil
		return nats.UserCredentials(file)(o)
	}
}

// logger is the log of this connection.
func (cfg Config) logger() *slog.Logger {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return log.With("component", "nats", "connection", cfg.Name)
}

// redacted is a list of addresses without the passwords and tokens that these may hold.
func redacted(list string) string {
	addresses := strings.Split(list, ",")
	for i, address := range addresses {
		if at := strings.LastIndex(address, "@"); at >= 0 {
			addresses[i] = address[at+1:]
		}
	}
	return strings.Join(addresses, ",")
}

func (cfg Config) standing() []nats.Option {
	log := cfg.logger()
	return []nats.Option{
		nats.Name(cfg.Name),
		nats.Timeout(DialTimeout),
		nats.DrainTimeout(DrainTimeout),
		nats.MaxReconnects(forever),
		nats.ReconnectWait(ReconnectWait),
		nats.ReconnectJitter(ReconnectJitter, ReconnectJitter),
		nats.ReconnectBufSize(noReconnectBuffer),
		nats.PingInterval(PingInterval),
		nats.MaxPingsOutstanding(MaxPings),
		nats.IgnoreAuthErrorAbort(), // a server that is reloading its users refuses everybody for a moment
		nats.PermissionErrOnSubscribe(true),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("reconnected", "server", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("asynchronous error", "subject", subject, "error", err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { log.Debug("closed") }),
	}
}

// SelectedContext returns the name of the NATS context that the user selected with `nats context
// select`, or "" when there is none.
func SelectedContext() string { return natscontext.SelectedContext() }

// ContextInboxPrefix returns the inbox prefix that a NATS context sets, or "" when it sets none. The
// prefix of a principal tells which workspace and principal the context's credentials belong to; see
// wire.ParseInboxPrefix.
func ContextInboxPrefix(name string) (string, error) {
	nctx, err := loadContext(name)
	if err != nil {
		return "", err
	}
	return nctx.InboxPrefix(), nil
}
