package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// applyCommand replaces the configuration.
type applyCommand struct {
	*app
	request   requestFlag
	file      string
	ifVersion uint64
	check     bool
}

// checkDocument is the JSON of apply --check.
type checkDocument struct {
	OK     bool         `json:"ok"`
	Faults []wire.Fault `json:"faults"`
}

func (a *app) apply() *cobra.Command {
	c := &applyCommand{app: a}
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Replace the configuration; refused whole if anything is wrong",
		Long: "Replace providers, accounts, limits, principals, prices and policy while everything runs. A file with any\n" +
			"fault is refused whole, and every fault is told with its line.",
		Example: "  bursar apply -f bursar.yaml\n  bursar apply -f bursar.yaml --check   # only look for faults\n  bursar apply -f - --if-version 3 < bursar.yaml",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&c.file, "file", "f", "", "`FILE` to apply; - is standard input (required)")
	cmd.Flags().Uint64Var(&c.ifVersion, "if-version", 0, "refuse unless the present version is `N`")
	cmd.Flags().BoolVar(&c.check, "check", false, "look for faults and change nothing; needs no running Bursar")
	c.request.register(cmd.Flags())
	return cmd
}

func (c *applyCommand) run(ctx context.Context) error {
	if c.file == "" {
		return usagef("give -f FILE")
	}
	document, err := c.read()
	if err != nil {
		return err
	}
	// Faults are told before anything is sent; the allocator checks again, since it must not trust us.
	if _, err := config.Parse(c.file, document); err != nil || c.check {
		return c.checked(err)
	}
	return c.connected(ctx, func(ctx context.Context, b *remote) error {
		request := wire.ApplyRequest{Document: string(document), IfVersion: c.ifVersion}
		request.RequestID = c.request.id
		reply, err := b.Apply(ctx, request)
		if err != nil {
			return err
		}
		return c.show(reply, func() { c.screen.Printf("applied as version %d\n", reply.ConfigVersion) })
	})
}

func (c *applyCommand) read() ([]byte, error) {
	if c.file == "-" {
		document, err := io.ReadAll(io.LimitReader(c.process.Stdin, config.MaxBytes+1))
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		return document, nil
	}
	document, err := os.ReadFile(c.file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return document, nil
}

// checked tells what the check found.
func (c *applyCommand) checked(err error) error {
	found, isFaults := errors.AsType[config.Faults](err)
	if err != nil && !isFaults {
		return err
	}
	doc := checkDocument{OK: err == nil, Faults: faultsOf(found)}
	showErr := c.show(&doc, func() {
		for _, f := range found {
			c.screen.Printf("%s\n", screen.Clean(f.String()))
		}
		if err == nil {
			c.screen.Printf("%s has no faults\n", screen.Clean(c.file))
		} else {
			c.screen.Printf("%s is not applied: %s\n", screen.Clean(c.file), counted(int64(len(found)), "fault"))
		}
	})
	if err != nil {
		return errors.Join(errReported, showErr)
	}
	return showErr
}

// revokeCommand closes a reservation against its holder's will.
type revokeCommand struct {
	*app
	request requestFlag
	reason  string
}

func (a *app) revoke() *cobra.Command {
	c := &revokeCommand{app: a}
	cmd := &cobra.Command{
		Use:     "revoke RESERVATION",
		Short:   "Take a reservation back; its agent gets a notice",
		Example: "  bursar revoke 0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10 --reason 'release freeze'",
		Args:    exactly("the reservation's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.connected(cmd.Context(), func(ctx context.Context, b *remote) error {
				request := wire.RevokeRequest{ReservationID: args[0], Reason: c.reason}
				request.RequestID = c.request.id
				reply, err := b.Revoke(ctx, request)
				if err != nil {
					return err
				}
				return c.show(reply, func() { c.showReservation("revoked", reply) })
			})
		},
	}
	cmd.Flags().StringVar(&c.reason, "reason", "", "`TEXT` that the agent is told")
	c.request.register(cmd.Flags())
	return cmd
}

// blockCommand stops grants, or allows them again.
type blockCommand struct {
	*app
	request requestFlag
	reason  string
}

func (a *app) hold() *cobra.Command {
	c := &blockCommand{app: a}
	cmd := &cobra.Command{
		Use:     "hold TARGET [NAME]",
		Short:   "Grant nothing new on an account, to a team, to an agent, or at all",
		Long:    "Grant nothing new until `bursar resume`; what is held stays held. TARGET is workspace, account, team or agent.",
		Example: "  bursar hold account claude-max --reason 'keep the rest for the release'\n  bursar hold workspace",
		Args:    blockArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			request := wire.HoldRequest{Target: args[0], Name: second(args), Reason: c.reason}
			request.RequestID = c.request.id
			return c.run(cmd.Context(), func(ctx context.Context, b *remote) (*wire.BlockReply, error) { return b.Hold(ctx, request) })
		},
		ValidArgs: blockTargets(),
	}
	cmd.Flags().StringVar(&c.reason, "reason", "", "`TEXT` for the record")
	c.request.register(cmd.Flags())
	return cmd
}

func (a *app) resume() *cobra.Command {
	c := &blockCommand{app: a}
	cmd := &cobra.Command{
		Use:     "resume TARGET [NAME]",
		Short:   "Lift a hold",
		Example: "  bursar resume account claude-max\n  bursar resume workspace",
		Args:    blockArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			request := wire.ResumeRequest{Target: args[0], Name: second(args)}
			request.RequestID = c.request.id
			return c.run(cmd.Context(), func(ctx context.Context, b *remote) (*wire.BlockReply, error) { return b.Resume(ctx, request) })
		},
		ValidArgs: blockTargets(),
	}
	c.request.register(cmd.Flags())
	return cmd
}

func (c *blockCommand) run(ctx context.Context, send func(context.Context, *remote) (*wire.BlockReply, error)) error {
	return c.connected(ctx, func(ctx context.Context, b *remote) error {
		reply, err := send(ctx, b)
		if err != nil {
			return err
		}
		return c.show(reply, func() {
			what := reply.Target
			if reply.Name != "" {
				what += " " + reply.Name
			}
			if reply.Held {
				c.screen.Printf("%s is held back: nothing new is granted until `bursar resume %s`\n", screen.Clean(what), screen.Clean(what))
				return
			}
			c.screen.Printf("%s is granted to again\n", screen.Clean(what))
		})
	})
}

func blockTargets() []string { return []string{"workspace", "account", "team", "agent"} }

// blockArgs takes a target and, unless it is the workspace, a name.
func blockArgs(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usagef("say what: workspace, or account, team or agent and its name")
	case args[0] == "workspace" && len(args) == 1:
		return nil
	case args[0] == "account" || args[0] == "team" || args[0] == "agent":
		if len(args) == 2 {
			return nil
		}
		return usagef("give the name of one %s", args[0])
	}
	return usagef("%q is not one of workspace (without a name), account, team and agent", args[0])
}

func second(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

// faultsOf gives faults the wire's form.
func faultsOf(faults config.Faults) []wire.Fault {
	converted := make([]wire.Fault, len(faults))
	for i, f := range faults {
		message := f.Message
		if f.Hint != "" {
			message += "; " + f.Hint
		}
		converted[i] = wire.Fault{Line: int64(f.Line), Column: int64(f.Column), Path: f.Path, Message: message}
	}
	return converted
}
