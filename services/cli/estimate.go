package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// estimateCommand says what a task will take.
type estimateCommand struct {
	*app
	agent agentFlag
	task  taskFlags
	model string
}

func (a *app) estimate() *cobra.Command {
	c := &estimateCommand{app: a}
	cmd := &cobra.Command{
		Use:     "estimate",
		Short:   "Say how many tokens a task will take",
		Example: "  bursar estimate --task code_review --files 12 --model claude-sonnet-5\n  bursar estimate --task analysis --complexity high --conservative --json",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	c.agent.register(cmd.Flags(), a)
	c.task.register(cmd)
	cmd.Flags().StringVar(&c.model, "model", "", "`NAME` of the model, to price it")
	return cmd
}

func (c *estimateCommand) run(cmd *cobra.Command) error {
	if c.task.taskType == "" {
		return usagef("give --task: code_generation, code_review, documentation, analysis or quick_query")
	}
	return c.asAgent(cmd.Context(), func(ctx context.Context, b *remote) error {
		reply, err := b.Agent(c.agent.name).Estimate(ctx, c.task.request(cmd, c.model))
		if err != nil {
			return err
		}
		return c.show(reply, func() { c.showEstimate(reply) })
	})
}
