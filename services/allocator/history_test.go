package allocator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// contested is the capacity of the one limit that the clients of a history compete for.
const contested = 1000

const contestedConfig = `
version: 1
teams: [core]
accounts:
  - id: api-1
    provider: openai
    kind: api
    limits:
      - {name: day, unit: tokens, capacity: 1000, window: {kind: calendar, period: day}}
principals:
  - {name: ann, team: core}
`

// operation is what a client asked for; tokens is the amount of the reservation, used what was used of it.
type operation struct {
	verb         string
	tokens, used int64
}

// answer is what it was told: whether it was granted, and what is free, where the answer says.
type answer struct {
	granted bool
	free    int64
	says    bool
}

// model is the specification: a number of free units.
var model = porcupine.Model{
	Init: func() any { return int64(contested) },
	Step: func(state, input, output any) (bool, any) {
		free, in, out := state.(int64), input.(operation), output.(answer)
		switch in.verb {
		case wire.VerbReserve:
			if out.granted {
				return free >= in.tokens, free - in.tokens
			}
			return free < in.tokens && (!out.says || out.free == free), free
		case wire.VerbStatus:
			return out.free == free, free
		default: // settle and release give back what was not used
			return true, free + in.tokens - in.used
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
	DescribeState:     func(state any) string { return strconv.FormatInt(state.(int64), 10) },
}

// history records what clients did, and when.
type history struct {
	mu         sync.Mutex
	began      time.Time
	operations []porcupine.Operation
}

func (h *history) record(who int, in operation, do func() (answer, error)) error {
	call := time.Since(h.began)
	out, err := do()
	back := time.Since(h.began)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{ClientId: who, Input: in, Call: call.Nanoseconds(), Output: out, Return: back.Nanoseconds()})
	return nil
}

// compete has clients reserve, settle, release and look at one limit, and gives what happened.
func compete(ctx context.Context, c *client.Client, clients, rounds int, seed uint64) (*history, error) {
	h := &history{began: time.Now()}
	failures := make([]error, clients)
	var running sync.WaitGroup
	for who := range clients {
		running.Go(func() {
			agent, chance := c.Agent("a"+strconv.Itoa(who)), rand.New(rand.NewPCG(seed, uint64(who)))
			for range rounds {
				if failures[who] = h.round(ctx, agent, who, chance); failures[who] != nil {
					return
				}
			}
		})
	}
	running.Wait()
	return h, errors.Join(failures...)
}

// round is one reservation and its end, now and then with a look at what is free.
func (h *history) round(ctx context.Context, a *client.Agent, who int, chance *rand.Rand) error {
	amount := 50 + chance.Int64N(250)
	id := ""
	err := h.record(who, operation{verb: wire.VerbReserve, tokens: amount}, func() (answer, error) {
		r, err := a.Reserve(ctx, reserveRequest(amount))
		if refused, ok := errors.AsType[*wire.Error](err); ok && errors.Is(err, wire.ErrInsufficientQuota) {
			return answer{free: *refused.Details.Available, says: true}, nil
		}
		if err == nil {
			id = r.ReservationID
		}
		return answer{granted: err == nil}, err
	})
	if err != nil {
		return err
	}
	if chance.IntN(4) == 0 {
		if err := h.look(ctx, a, who); err != nil {
			return err
		}
	}
	if id == "" {
		return nil
	}
	if chance.IntN(3) == 0 {
		return h.record(who, operation{verb: wire.VerbRelease, tokens: amount}, func() (answer, error) {
			_, err := a.Release(ctx, wire.ReleaseRequest{ReservationID: id})
			return answer{}, err
		})
	}
	used := chance.Int64N(3)
	return h.record(who, operation{verb: wire.VerbSettle, tokens: amount, used: used}, func() (answer, error) {
		_, err := a.Settle(ctx, wire.SettleRequest{ReservationID: id, Usage: []wire.UsageItem{{Tokens: tokens(used)}}})
		return answer{}, err
	})
}

func (h *history) look(ctx context.Context, a *client.Agent, who int) error {
	return h.record(who, operation{verb: wire.VerbStatus}, func() (answer, error) {
		s, err := a.Status(ctx, wire.StatusRequest{})
		if err != nil {
			return answer{}, err
		}
		return answer{free: s.Limits[0].Available}, nil
	})
}

// checkLinearizable fails the test unless the history could have happened one operation at a time.
func (h *history) checkLinearizable(t *testing.T) {
	t.Helper()
	granted, denied := 0, 0
	for _, o := range h.operations {
		if o.Input.(operation).verb == wire.VerbReserve {
			if o.Output.(answer).granted {
				granted++
			} else {
				denied++
			}
		}
	}
	t.Logf("%d operations, %d granted, %d denied", len(h.operations), granted, denied)
	if granted == 0 || denied == 0 {
		t.Error("the limit was not contested")
	}
	if result := porcupine.CheckOperationsTimeout(model, h.operations, time.Minute); result != porcupine.Ok {
		t.Errorf("the history is not linearizable: %s", result)
	}
}

// A concurrent history on a contended limit is linearizable, over a hand-over between processes too.
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			s := site.Start(t, []string{"ann"})
			cfg := serviceConfigOf(t, s, contestedConfig)
			stopFirst := start(t, cfg)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			agents := s.Client("ann")
			if _, err := s.Operator().GetConfig(ctx); err != nil {
				t.Fatal(err)
			}
			start(t, serviceConfigOf(t, s, contestedConfig))
			handOver := time.AfterFunc(300*time.Millisecond, stopFirst)
			defer handOver.Stop()
			h, err := compete(ctx, agents, 12, 60, seed)
			if err != nil {
				t.Fatal(err)
			}
			h.checkLinearizable(t)
			report, err := s.Operator().Verify(ctx)
			if err != nil || !report.OK {
				t.Errorf("verify: %+v, %v", report, err)
			}
		})
	}
}

// The check is worth something: a history with one grant too many does not pass it.
func TestOverAdmissionIsNotLinearizable(t *testing.T) {
	t.Parallel()
	h := &history{}
	for i := range int64(3) {
		h.operations = append(h.operations, porcupine.Operation{
			ClientId: int(i), Input: operation{verb: wire.VerbReserve, tokens: contested / 2}, Output: answer{granted: true}, Call: i, Return: i + 10,
		})
	}
	if porcupine.CheckOperations(model, h.operations) {
		t.Error("three halves of a limit were granted, and it passed")
	}
}
