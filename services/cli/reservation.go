package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
)

// reserveCommand holds quota before the work.
type reserveCommand struct {
	*app
	agent    agentFlag
	tokens   tokenFlags
	task     taskFlags
	request  requestFlag
	ladder   ladderFlags
	reserve  wire.ReserveRequest
	ttl      time.Duration
	lease    time.Duration
	estimate bool
}

func (a *app) reserve() *cobra.Command {
	c := &reserveCommand{app: a}
	cmd := &cobra.Command{
		Use:   "reserve",
		Short: "Hold quota before the work",
		Long: "Hold quota on every limit that binds, or on none. Say how many tokens, or let --estimate work it out\n" +
			"from the task. The reply names the reservation; report what is spent on it, and settle it.\n\n" +
			"When quota runs short, what else will do is tried in turn: fewer tokens (--min-tokens), other accounts, models\n" +
			"and providers (--accept-…), and waiting in the queue (--max-wait).\n\n" +
			"The exit status is 75 when there is no quota now but will be later.",
		Example: "  bursar reserve --provider claude --model claude-sonnet-5 \\\n    --input 3000 --output 12000\n" +
			"  bursar reserve --provider claude --model claude-opus-4-8 \\\n    --estimate --task code_review --files 12\n" +
			"  bursar reserve --provider claude --model claude-opus-4-8 \\\n    --output 90000 --min-tokens 30000 --max-wait 20m\n" +
			"  id=$(bursar reserve --account claude-max --model claude-haiku-4-5 \\\n    --output 500 --json | jq -r .reservation_id)",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	c.agent.register(flags, a)
	c.tokens.register(flags)
	c.task.register(cmd)
	c.request.register(flags)
	c.ladder.register(cmd)
	flags.StringVar(&c.reserve.Provider, "provider", "", "`NAME` of the provider; or give --account")
	flags.StringVar(&c.reserve.Account, "account", "", "`ID` of the account to use and no other")
	flags.StringVar(&c.reserve.Model, "model", "", "`NAME` of the model (required)")
	flags.StringVar(&c.reserve.Priority, "priority", "", "low, normal, high or critical; default: normal, or what the estimate proposes")
	flags.Int64Var(&c.reserve.Requests, "requests", 0, "`N` provider requests; default 1")
	flags.DurationVar(&c.ttl, "ttl", 0, "longest life of the reservation; default and most: what the configuration says")
	flags.DurationVar(&c.lease, "lease", 0, "how long it lives without a report or an extend")
	flags.BoolVar(&c.estimate, "estimate", false, "reserve what the estimate of --task says, on top of the tokens given")
	complete(cmd, "priority", []string{"low", "normal", "high", "critical"})
	return cmd
}

func (c *reserveCommand) run(cmd *cobra.Command) error {
	r := &c.reserve
	switch {
	case r.Provider == "" && r.Account == "":
		return usagef("give --provider, such as claude, or --account (see `bursar accounts`)")
	case r.Model == "":
		return usagef("give --model, such as claude-sonnet-5")
	case c.estimate && c.task.taskType == "":
		return usagef("--estimate needs --task")
	case c.ladder.noWait && c.ladder.maxWait == 0:
		return usagef("--no-wait needs --max-wait")
	case !c.estimate && c.tokens.tokens == (wire.Tokens{}) && r.Requests == 0:
		return usagef("say how much: tokens with --input, --output or --cache-read, or --estimate with --task, or --requests alone")
	}
	if err := errors.Join(aheadOnly("ttl", c.ttl), aheadOnly("lease", c.lease), aheadOnly("max-wait", c.ladder.maxWait)); err != nil {
		return err
	}
	if c.request.id == "" {
		id, err := wire.NewRequestID()
		if err != nil {
			return err
		}
		c.request.id = id
	}
	return c.asAgent(cmd.Context(), func(ctx context.Context, b *remote) error {
		r.TaskType, r.Complexity, r.Files = c.task.taskType, c.task.complexity, c.task.files
		r.Tokens, r.TTLMS, r.LeaseMS = c.tokens.tokens, c.ttl.Milliseconds(), c.lease.Milliseconds()
		if c.estimate {
			if err := c.addEstimate(ctx, cmd, b); err != nil {
				return err
			}
		}
		c.ladder.fill(r)
		r.RequestID = c.request.id
		reply, err := c.reserveOrWait(ctx, b)
		if err != nil {
			return &refusedReserve{err, r.RequestID}
		}
		return c.show(reply, func() {
			if reply.State == wire.StateQueued {
				c.showQueued(reply)
				return
			}
			c.showReservation("granted", reply)
		})
	})
}

// addEstimate puts what the estimate says on top of the tokens given.
func (c *reserveCommand) addEstimate(ctx context.Context, cmd *cobra.Command, b *remote) error {
	estimate, err := b.Agent(c.agent.name).Estimate(ctx, c.task.request(cmd, c.reserve.Model))
	if err != nil {
		return err
	}
	c.reserve.Tokens = addTokens(c.reserve.Tokens, estimate.Tokens)
	c.reserve.Complexity, c.reserve.Estimated = estimate.Complexity, estimate.TotalTokens
	if c.reserve.Priority == "" {
		c.reserve.Priority = estimate.Priority
	}
	return nil
}

// reportCommand records what was spent.
type reportCommand struct {
	*app
	agent   agentFlag
	usage   usageFlags
	request requestFlag
}

func (a *app) reportUsage() *cobra.Command {
	c := &reportCommand{app: a}
	cmd := &cobra.Command{
		Use:   "report RESERVATION",
		Short: "Record what was spent; the reservation stays open",
		Long: "Record what a call has used. Give the provider's --call-id where there is one: the same call reported\n" +
			"twice then counts once. Without any usage it is a sign of life that renews the lease.",
		Example: "  bursar report 0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10 \\\n    --input 1200 --output 800 --call-id req_011CQ\n" +
			"  bursar report 0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10   # still at work",
		Args: exactly("the reservation's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			items, err := c.usage.items()
			if err != nil {
				return err
			}
			request := wire.ReportRequest{ReservationID: args[0], Usage: items}
			request.RequestID = c.request.id
			return c.change(cmd, c.agent, "recorded", func(ctx context.Context, agent *client.Agent) (*wire.ReservationReply, error) {
				return agent.Report(ctx, request)
			})
		},
	}
	c.agent.register(cmd.Flags(), a)
	c.usage.register(cmd.Flags())
	c.request.register(cmd.Flags())
	return cmd
}

func (a *app) settle() *cobra.Command {
	c := &reportCommand{app: a}
	cmd := &cobra.Command{
		Use:     "settle RESERVATION",
		Short:   "Record the last usage and close; the rest returns",
		Example: "  bursar settle 0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10 --input 2900 --output 7400",
		Args:    exactly("the reservation's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			items, err := c.usage.items()
			if err != nil {
				return err
			}
			request := wire.SettleRequest{ReservationID: args[0], Usage: items}
			request.RequestID = c.request.id
			return c.change(cmd, c.agent, "settled", func(ctx context.Context, agent *client.Agent) (*wire.ReservationReply, error) {
				return agent.Settle(ctx, request)
			})
		},
	}
	c.agent.register(cmd.Flags(), a)
	c.usage.register(cmd.Flags())
	c.request.register(cmd.Flags())
	return cmd
}

// releaseCommand closes a reservation without further usage.
type releaseCommand struct {
	*app
	agent   agentFlag
	request requestFlag
	reason  string
}

func (a *app) release() *cobra.Command {
	c := &releaseCommand{app: a}
	cmd := &cobra.Command{
		Use:     "release RESERVATION",
		Short:   "Close without further usage; the rest returns",
		Example: "  bursar release 0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10 --reason 'task cancelled'",
		Args:    exactly("the reservation's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := wire.ReleaseRequest{ReservationID: args[0], Reason: c.reason}
			request.RequestID = c.request.id
			return c.change(cmd, c.agent, "released", func(ctx context.Context, agent *client.Agent) (*wire.ReservationReply, error) {
				return agent.Release(ctx, request)
			})
		},
	}
	c.agent.register(cmd.Flags(), a)
	c.request.register(cmd.Flags())
	cmd.Flags().StringVar(&c.reason, "reason", "", "`TEXT` for the record")
	return cmd
}

// extendCommand asks for more.
type extendCommand struct {
	*app
	agent    agentFlag
	tokens   tokenFlags
	request  requestFlag
	requests int64
	ttl      time.Duration
}

func (a *app) extend() *cobra.Command {
	c := &extendCommand{app: a}
	cmd := &cobra.Command{
		Use:   "extend RESERVATION",
		Short: "Ask for more tokens, more time, or both",
		Example: "  bursar extend 0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10 --output 5000\n" +
			"  bursar extend 0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10 --ttl 1h",
		Args: exactly("the reservation's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := wire.ExtendRequest{
				ReservationID: args[0], Tokens: c.tokens.tokens, Requests: c.requests, TTLMS: c.ttl.Milliseconds(),
			}
			request.RequestID = c.request.id
			if c.ttl == 0 && c.requests == 0 && c.tokens.tokens == (wire.Tokens{}) {
				return usagef("say how much more: tokens with --input, --output or --cache-read, --requests, or time with --ttl")
			}
			if err := aheadOnly("ttl", c.ttl); err != nil {
				return err
			}
			return c.change(cmd, c.agent, "extended", func(ctx context.Context, agent *client.Agent) (*wire.ReservationReply, error) {
				return agent.Extend(ctx, request)
			})
		},
	}
	flags := cmd.Flags()
	c.agent.register(flags, a)
	c.tokens.register(flags)
	c.request.register(flags)
	flags.Int64Var(&c.requests, "requests", 0, "`N` more provider requests")
	flags.DurationVar(&c.ttl, "ttl", 0, "time from now on, within the hard cap since the grant")
	return cmd
}

// change sends what changes one reservation and shows how it then stands.
func (a *app) change(cmd *cobra.Command, agent agentFlag, done string, send func(context.Context, *client.Agent) (*wire.ReservationReply, error)) error {
	return a.asAgent(cmd.Context(), func(ctx context.Context, b *remote) error {
		reply, err := send(ctx, b.Agent(agent.name))
		if err != nil {
			return err
		}
		return a.show(reply, func() { a.showReservation(done, reply) })
	})
}

// listCommand lists reservations.
type listCommand struct {
	*app
	filter wire.ReservationsRequest
	most   int
}

func (a *app) list() *cobra.Command {
	c := &listCommand{app: a}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List reservations, the oldest first",
		Example: "  bursar list\n  bursar list --closed --team research\n  bursar list --agent builder-01 --json",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.filter.Agent, "agent", "", "only those of the agent `NAME`")
	flags.StringVar(&c.filter.Team, "team", "", "only those of the team `NAME`")
	flags.StringVar(&c.filter.Provider, "provider", "", "only those at the provider `NAME`")
	flags.StringVar(&c.filter.Account, "account", "", "only those on the account `ID`")
	flags.BoolVar(&c.filter.Closed, "closed", false, "the recently closed ones too")
	flags.IntVar(&c.most, "limit", maxListed, "list at most `N`")
	return cmd
}

// maxListed is how many reservations a table shows if not told otherwise.
const maxListed = 1000

func (c *listCommand) run(cmd *cobra.Command) error {
	if c.most < 1 {
		return usagef("--limit must be 1 or more")
	}
	return c.connected(cmd.Context(), func(ctx context.Context, b *remote) error {
		reply, err := b.allReservations(ctx, c.filter, c.most)
		if err != nil {
			return err
		}
		return c.show(reply, func() {
			if len(reply.Reservations) == 0 {
				c.screen.Printf("No reservations.\n")
				return
			}
			c.screen.Table(reservationTable(reply.Reservations, reply.Now.Time()))
			if reply.Next != "" {
				c.screen.Printf("… and more; raise --limit to see them\n")
			}
		})
	})
}
