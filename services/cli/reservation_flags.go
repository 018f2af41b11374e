package cli

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/wire"
)

// envAgent names the environment variable that says which agent a command speaks for.
const envAgent = "BURSAR_AGENT"

// defaultAgent is who a person at a terminal is.
const defaultAgent = "cli"

// agentFlag is the agent that a command speaks for.
type agentFlag struct{ name string }

func (f *agentFlag) register(flags *pflag.FlagSet, a *app) {
	name := a.process.Getenv(envAgent)
	if name == "" {
		name = defaultAgent
	}
	flags.StringVar(&f.name, "agent", name, "`NAME` of the agent to speak for ($"+envAgent+")")
}

// tokenFlags are tokens by class.
type tokenFlags struct{ tokens wire.Tokens }

func (f *tokenFlags) register(flags *pflag.FlagSet) {
	for _, class := range []struct {
		at         *int64
		name, help string
	}{
		{&f.tokens.Input, "input", "fresh input tokens"},
		{&f.tokens.Output, "output", "output tokens"},
		{&f.tokens.CacheRead, "cache-read", "input tokens read from a cache"},
		{&f.tokens.CacheWrite5m, "cache-write-5m", "input tokens written to a cache for 5 minutes"},
		{&f.tokens.CacheWrite1h, "cache-write-1h", "input tokens written to a cache for an hour"},
	} {
		flags.Int64Var(class.at, class.name, 0, "`N` "+class.help)
	}
}

// taskFlags describe a task for an estimate.
type taskFlags struct {
	taskType     string
	complexity   string
	files        int64
	urgent       bool
	conservative bool
}

func (f *taskFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.taskType, "task", "", "`TYPE` of the task: code_generation, code_review, documentation, analysis or quick_query")
	flags.StringVar(&f.complexity, "complexity", "", "low, medium or high; default: what is usual for the type")
	flags.Int64Var(&f.files, "files", 0, "`N` files the task touches; default: what is usual")
	flags.BoolVar(&f.urgent, "urgent", false, "propose high priority")
	flags.BoolVar(&f.conservative, "conservative", false, "add a margin of 30%")
	complete(cmd, "task", words(estimate.Types()))
	complete(cmd, "complexity", []string{"low", "medium", "high"})
}

func (f *taskFlags) request(cmd *cobra.Command, model string) wire.EstimateRequest {
	r := wire.EstimateRequest{
		TaskType: f.taskType, Complexity: f.complexity, Urgent: f.urgent, Conservative: f.conservative, Model: model,
	}
	if cmd.Flags().Changed("files") { // 0 is a fault that the estimator names
		r.Files = &f.files
	}
	return r
}

// usageFlags are the usage of one provider call.
type usageFlags struct {
	tokenFlags
	callID   string
	model    string
	requests int64
	batch    bool
	occurred string
}

func (f *usageFlags) register(flags *pflag.FlagSet) {
	f.tokenFlags.register(flags)
	flags.StringVar(&f.callID, "call-id", "", "the provider's `ID` of the call: seen twice, it counts once")
	flags.StringVar(&f.model, "model", "", "`NAME` of the model; default: the reservation's")
	flags.Int64Var(&f.requests, "requests", 0, "`N` provider requests; default: one for a new call")
	flags.BoolVar(&f.batch, "batch", false, "billed at the provider's batch price")
	flags.StringVar(&f.occurred, "at", "", "`TIME` of the call, RFC 3339; default: now")
}

// items gives the usage, none if no flag told any.
func (f *usageFlags) items() ([]wire.UsageItem, error) {
	item := wire.UsageItem{CallID: f.callID, Model: f.model, Tokens: f.tokens, Requests: f.requests, Batch: f.batch}
	if f.occurred != "" {
		at, err := time.Parse(time.RFC3339, f.occurred)
		if err != nil {
			return nil, usagef("--at %q is not an RFC 3339 time such as 2026-03-01T09:30:00Z", f.occurred)
		}
		item.OccurredAt = wireTime(at)
	}
	if item == (wire.UsageItem{}) {
		return nil, nil
	}
	return []wire.UsageItem{item}, nil
}

// requestFlag lets a script retry with the same request id, so that nothing happens twice.
type requestFlag struct{ id string }

func (f *requestFlag) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.id, "request-id", "", "UUIDv7 `ID` of this request; a retry with the same one happens once")
}

// longestSpan is the longest life, lease and wait of the protocol.
const longestSpan = 31 * 24 * time.Hour

// aheadOnly refuses a span of a flag that is none ahead, or longer than the protocol allows.
func aheadOnly(flag string, span time.Duration) error {
	if span < 0 || span > longestSpan {
		return usagef("--%s %s is not within 0s and 31 days (%s)", flag, span, longestSpan)
	}
	return nil
}

// complete offers values of a flag to the shell.
func complete(cmd *cobra.Command, flag string, values []string) {
	// It fails only for a flag that there is not, which the test of the command tree would find.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// words turns named strings into strings.
func words[T ~string](names []T) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = string(n)
	}
	return list
}
