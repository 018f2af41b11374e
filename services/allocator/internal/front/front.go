// Package front serves the agent and admin verbs of one workspace on NATS: it reads a request, hands it to the engine as
// a command or a read, and writes the reply. It decides nothing and keeps nothing.
//
// Who asks is taken from the request's subject, never from its body. A request whose reply subject does not lie in the
// requester's own inbox is dropped and counted: the front would otherwise lend its permissions to whoever asks.
//
// It subscribes only while its engine serves, and without a queue group: where nobody leads, clients are told at once
// that nobody responds, which is retryable; and a process that is paused never swallows a share of the requests.
package front

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/trace"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/pkg/writer"
	"github.com/bursarhq/bursar/services/allocator/internal/engine"
	"github.com/bursarhq/bursar/services/allocator/internal/estimates"
	"github.com/bursarhq/bursar/services/allocator/internal/metrics"
)

// Bounds of what waits in the client library, per verb; beyond them NATS drops and the client asks again.
const (
	pendingMessages = 32_768
	pendingBytes    = 64 << 20
	subjectsKept    = 20_000 // subjects whose parts are remembered
	replyBytes      = 1024   // what a usual reply takes
)

// ServiceName is the name under which `nats micro` lists the front.
const ServiceName = "bursar-allocator"

// Verifier folds the kept log of the workspace again.
type Verifier interface {
	Verify(ctx context.Context) (*wire.VerifyReply, error)
}

// Options configure a front; everything is required but Tracer.
type Options struct {
	Conn      *nats.Conn
	Workspace string
	Version   string // of the program, semantic
	Engine    Submitter
	Prices    func(*quota.Config) quota.Prices
	Verifier  Verifier
	History   History
	Estimates *estimates.Watch
	Metrics   *metrics.Workspace
	Sure      func() bool  // whether nobody else can lead by now
	Tracer    trace.Tracer // nil where traces are off
	Log       *slog.Logger
}

// Submitter takes calls. *engine.Engine does.
type Submitter interface {
	Submit(call *engine.Call)
}

// Front serves one workspace. Open and Close may be called from any goroutine, in turn.
type Front struct {
	opt Options

	mu      sync.Mutex
	service micro.Service

	senders *senders
	archive archive
	verify  chan struct{} // one verification at a time
	buffers sync.Pool     // of *[]byte, for replies
	held    *together     // replies that wait for Flush

	// What reads the log takes long, and goes on beside everything else until Finish.
	beside  sync.WaitGroup
	reading context.Context //nolint:containedctx // ends with Finish
	finish  context.CancelFunc
}

// New makes a front that is not open.
func New(opt Options) *Front {
	reading, finish := context.WithCancel(context.Background())
	f := &Front{
		reading: reading, finish: finish,
		opt: opt, senders: newSenders(subjectsKept), archive: newArchive(opt.History), verify: make(chan struct{}, 1),
		buffers: sync.Pool{New: func() any { b := make([]byte, 0, replyBytes); return &b }},
	}
	f.held = newTogether(f.publish)
	return f
}

// Flush sends the replies that were held back to go together. It is to be called when calls were answered.
func (f *Front) Flush() { f.held.flush() }

// Open subscribes to every verb.
func (f *Front) Open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.service != nil {
		return nil
	}
	service, err := micro.AddService(f.opt.Conn, micro.Config{
		Name: ServiceName, Version: f.opt.Version, QueueGroupDisabled: true,
		Description: "Reserves, records and returns quota for agents",
		Metadata:    map[string]string{"workspace": f.opt.Workspace},
	})
	if err != nil {
		return fmt.Errorf("serve on NATS: %w", err)
	}
	for _, kind := range []struct {
		kind  wire.Kind
		verbs []string
	}{{wire.KindAgent, wire.AgentVerbs()}, {wire.KindAdmin, wire.AdminVerbs()}} {
		for _, verb := range kind.verbs {
			if err := f.serve(service, kind.kind, verb); err != nil {
				_ = service.Stop()
				return err
			}
		}
	}
	f.service = service
	return nil
}

func (f *Front) serve(service micro.Service, kind wire.Kind, verb string) error {
	subject, err := wire.VerbFilter(f.opt.Workspace, kind, verb)
	if err != nil {
		return fmt.Errorf("serve %s %s: %w", kind, verb, err)
	}
	err = service.AddEndpoint(string(kind)+"-"+verb, micro.HandlerFunc(func(r micro.Request) { f.handle(kind, verb, r) }),
		micro.WithEndpointSubject(subject), micro.WithEndpointQueueGroupDisabled(), micro.WithEndpointPendingLimits(pendingMessages, pendingBytes))
	if err != nil {
		return fmt.Errorf("serve %s %s: %w", kind, verb, err)
	}
	return nil
}

// Close unsubscribes. Requests that are here already are still answered.
func (f *Front) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.service == nil {
		return
	}
	if err := f.service.Stop(); err != nil {
		f.opt.Log.Warn("stop serving on NATS", "error", err)
	}
	f.service = nil
}

// Finish ends what is being read from the log; whoever waits for it is told to ask again. The front must be closed.
func (f *Front) Finish() {
	f.mu.Lock()
	f.finish()
	f.mu.Unlock()
	f.beside.Wait()
}

// readLog does work that reads the log. After Finish, where no more may begin, it is done at once, and fails.
func (f *Front) readLog(work func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading.Err() != nil {
		work()
		return
	}
	f.beside.Go(work)
}

// refuseRead refuses for an error of reading the log.
func (f *Front) refuseRead(r *request, err error, notices []quota.Notice) {
	if f.reading.Err() != nil {
		err = wire.Unavailable(0, "this process ends; ask again")
	}
	f.refuse(r, err, notices)
}

// request is one request on its way through.
type request struct {
	verb  string
	actor quota.Actor
	reply string
	body  wire.Request
	call  engine.Call // of a command
	span  trace.Span  // nil where traces are off
}

// handle reads one request and hands it on. It runs on the subscription's goroutine and never blocks.
func (f *Front) handle(kind wire.Kind, verb string, m micro.Request) {
	from, misnamed := f.senders.of(m.Subject())
	if from.inbox == "" || from.workspace != f.opt.Workspace {
		f.opt.Metrics.Dropped(metrics.DroppedSubject)
		return
	}
	if !wire.ReplyBelow(from.inbox, m.Reply()) {
		f.opt.Metrics.Dropped(metrics.DroppedReply)
		f.opt.Log.Warn("request dropped: its reply subject is not in the requester's inbox", "principal", from.actor.Principal, "verb", verb)
		return
	}
	r := &request{verb: verb, actor: from.actor, reply: m.Reply()}
	f.trace(r, m)
	if misnamed != nil {
		f.refuse(r, wire.NewError(quota.CodeInvalid, "the subject is not as the protocol encodes names: %v", misnamed), nil)
		return
	}
	body, err := wire.DecodeRequest(kind, verb, m.Data())
	if err != nil {
		f.refuse(r, err, nil)
		return
	}
	r.body = body
	f.acknowledge(r)
	switch b := body.(type) {
	case *wire.ApplyRequest:
		f.apply(r, b)
	case *wire.ObserveRequest:
		f.observe(r, b)
	case wire.Commanding:
		f.command(r, b, b.Command(r.actor, reservationID(verb)))
	case *wire.VerifyRequest:
		f.startVerify(r)
	default:
		f.read(r)
	}
}

// reservationID makes the id of the reservation to be, for the verb that makes one: a UUIDv7, so that ids sort by the
// time of the grant.
func reservationID(verb string) string {
	if verb != wire.VerbReserve {
		return ""
	}
	return wire.MakeID(time.Now()).String()
}

// command submits a mutation that is answered with the reply of its verb.
func (f *Front) command(r *request, m wire.Mutation, cmd quota.Command) { f.commandAs(r, m, cmd, nil) }

// commandAs submits a mutation; reply appends the reply where it is not refused, nil the one of its verb.
func (f *Front) commandAs(r *request, m wire.Mutation, cmd quota.Command, reply func([]byte, *quota.Result, []quota.Notice) []byte) {
	id, hash := m.ID(), m.ParamsHash()
	r.call = engine.Call{
		Request: writer.Request{
			Actor: r.actor, Key: ledger.KeyOf(r.actor.Principal, string(id[:])), IssuedAt: id.Made(), Command: cmd,
			Params: ledger.ParamsOf([]byte(r.actor.Agent), hash[:]),
		},
		Done: func(done *writer.Reply) {
			if !done.Result.OK() {
				f.refuse(r, wire.ErrorOfResult(done.Result, done.Version > 0), done.Notices)
				return
			}
			body := func(b []byte) []byte {
				if reply == nil {
					return wire.AppendResult(b, m, done.Result, done.Notices)
				}
				return reply(b, done.Result, done.Notices)
			}
			if f.held.add(r.reply, body) {
				f.answered(r, quota.CodeOK)
				return
			}
			buffer := f.buffers.Get().(*[]byte)
			*buffer = body((*buffer)[:0])
			f.send(r, *buffer, quota.CodeOK)
			f.buffers.Put(buffer)
		},
	}
	f.opt.Engine.Submit(&r.call)
}

// acknowledge forgets the notices that an agent has seen, before its request is decided. It needs no memory of its
// own: doing it twice is harmless.
func (f *Front) acknowledge(r *request) {
	a, ok := r.body.(wire.Acknowledging)
	if !ok || len(a.Acknowledged()) == 0 {
		return
	}
	id := wire.MakeID(time.Now())
	f.opt.Engine.Submit(&engine.Call{
		Request: writer.Request{
			Actor: r.actor, Key: ledger.KeyOf(r.actor.Principal, string(id[:])), IssuedAt: id.Made(),
			Command: quota.Acknowledge{Actor: r.actor, Notices: a.Acknowledged()},
		},
		Done: func(*writer.Reply) {},
	})
}

// refuse answers with an error. Its code and text also go into the headers that NATS services use.
func (f *Front) refuse(r *request, err error, notices []quota.Notice) {
	e := wire.ErrorOf(err)
	if e.Code == wire.CodeInternal {
		f.opt.Log.Error("internal error", "verb", r.verb, "error", err)
	}
	f.answered(r, e.Code)
	msg := &nats.Msg{Subject: r.reply, Data: wire.AppendError(nil, e, notices), Header: nats.Header{
		micro.ErrorCodeHeader: []string{strconv.Itoa(httpLike(e))},
		micro.ErrorHeader:     []string{string(e.Code)},
	}}
	if err := f.opt.Conn.PublishMsg(msg); err != nil {
		f.opt.Log.Debug("reply not sent", "verb", r.verb, "error", err)
	}
}

// httpLike maps to the numbers that tools for NATS services expect: 4xx the request, 429 quota, 503 later, 500 ours.
func httpLike(e *wire.Error) int {
	switch e.Code {
	case quota.CodeInsufficientQuota, quota.CodeConcurrentLimitExceeded:
		return 429
	case quota.CodeAllocationNotFound:
		return 404
	case quota.CodeConflict, quota.CodeClosed, quota.CodeAllocationExceeded:
		return 409
	case quota.CodeUnavailable, quota.CodeSubscriptionInfoUnavailable:
		return 503
	case wire.CodeInternal:
		return 500
	default:
		return 400
	}
}

// send answers. The body is copied before it returns.
func (f *Front) send(r *request, body []byte, code quota.Code) {
	f.answered(r, code)
	f.publish(r.reply, body)
}

func (f *Front) publish(subject string, body []byte) {
	if err := f.opt.Conn.Publish(subject, body); err != nil {
		f.opt.Log.Debug("reply not sent", "subject", subject, "error", err)
	}
}

// answered counts an answer and ends the span of its request.
func (f *Front) answered(r *request, code quota.Code) {
	f.opt.Metrics.Answered(r.verb, code)
	r.traced(code)
}
