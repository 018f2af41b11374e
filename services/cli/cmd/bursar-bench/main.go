// Command bursar-bench is `make bench`: it compares Bursar with a bare echo, Redis and PostgreSQL on this
// machine, and measures the lag to ClickHouse and the recovery of the allocator. `bursar bench` measures
// a Bursar that runs already.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/services/allocator"
	"github.com/bursarhq/bursar/services/cli/internal/bench"
)

// Exit statuses.
const (
	exitFailure = 1
	exitUsage   = 2
)

// againstRepetitions is how often each of two builds runs.
const againstRepetitions = 7

// The parts of the benchmark.
const (
	partThroughput = "throughput"
	partStanding   = "standing"
	partLag        = "lag"
	partRecovery   = "recovery"
)

func partNames() []string { return []string{partThroughput, partStanding, partLag, partRecovery} }

func main() {
	chembed.MaybeRunChild()
	allocator.TuneGC(context.Background(), os.Getenv)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// flags is what the command line says.
type flags struct {
	options   bench.Options
	parts     []string
	live      []int
	allocator string
	against   string
	asJSON    bool
}

func run(args []string, out, diagnostics io.Writer) int {
	f, err := parse(args, diagnostics)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(diagnostics, "bursar-bench:", err)
		return exitUsage
	}
	ctx, stop := runner.WithSignals(context.Background(), slog.New(slog.DiscardHandler))
	defer stop()
	report, err := f.measure(ctx, diagnostics)
	if err != nil {
		fmt.Fprintln(diagnostics, "bursar-bench:", err)
		return exitFailure
	}
	if !f.asJSON {
		report.Write(out)
		return 0
	}
	if err := json.NewEncoder(out).Encode(report); err != nil {
		fmt.Fprintln(diagnostics, "bursar-bench:", err)
		return exitFailure
	}
	return 0
}

func parse(args []string, out io.Writer) (flags, error) {
	f := flags{options: bench.DefaultOptions()}
	beside := "bursar-allocator"
	if self, err := os.Executable(); err == nil {
		beside = filepath.Join(filepath.Dir(self), beside)
	}
	systems := ""
	clients, live, parts := "1,16,64,256,1024", "1000,10000,100000", strings.Join(partNames(), ",")
	set := flag.NewFlagSet("bursar-bench", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&clients, "clients", clients, "`NUMBERS` of concurrent clients")
	set.StringVar(&live, "live", live, "`NUMBERS` of live reservations for the recovery, ascending")
	set.StringVar(&parts, "parts", parts, "`PARTS` to measure")
	set.IntVar(&f.options.Repetitions, "repetitions", f.options.Repetitions, "how `OFTEN` everything is measured; figures are medians")
	set.DurationVar(&f.options.Duration, "duration", f.options.Duration, "how `LONG` one measurement takes")
	set.IntVar(&f.options.Connections, "connections", f.options.Connections, "how `MANY` connections clients share")
	set.StringVar(&systems, "systems", "", "`NAMES` of systems to measure, or what they begin with (bursar-page), or whole names (bursar-page.); the bare reply is always measured")
	set.StringVar(&f.options.Profiles, "profiles", "", "existing `FOLDER` for profiles of processor time and allocations")
	set.StringVar(&f.options.Dir, "dir", f.options.Dir, "`FOLDER` on a disk for the data; default is the system's temporary folder")
	set.StringVar(&f.allocator, "allocator", beside, "`PATH` of bursar-allocator, for the recovery")
	set.StringVar(&f.against, "against", "", "`COMMIT` to build and to compare this build with, run in turns, 7 of each; nothing else is measured")
	set.BoolVar(&f.asJSON, "json", false, "print JSON")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	f.parts = strings.Split(parts, ",")
	if f.against != "" {
		f.compareByDefault(set, &clients, &systems)
	}
	if systems != "" {
		f.options.Systems = strings.Split(systems, ",")
	}
	for _, part := range f.parts {
		if !slices.Contains(partNames(), part) {
			return f, fmt.Errorf("part %q is not one of %s", part, strings.Join(partNames(), ", "))
		}
	}
	var clientsErr, liveErr error
	f.options.Clients, clientsErr = numbers("clients", clients)
	f.live, liveErr = numbers("live", live)
	return f, errors.Join(clientsErr, liveErr, f.options.Validate())
}

// compareByDefault sets what the comparison of two builds measures where the command line does not say it.
func (f *flags) compareByDefault(set *flag.FlagSet, clients, systems *string) {
	given := map[string]bool{}
	set.Visit(func(one *flag.Flag) { given[one.Name] = true })
	if !given["repetitions"] {
		f.options.Repetitions = againstRepetitions
	}
	if !given["clients"] {
		*clients = "64,256"
	}
	if !given["systems"] {
		*systems = "bursar-page"
	}
}

func numbers(name, list string) ([]int, error) {
	var found []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("-%s: %q is not a number", name, text)
		}
		found = append(found, n)
	}
	return found, nil
}

func (f flags) measure(ctx context.Context, diagnostics io.Writer) (report *bench.Report, err error) {
	report = bench.NewReport(f.options)
	if f.against != "" {
		return report, f.compare(ctx, report, diagnostics)
	}
	if slices.Contains(f.parts, partThroughput) {
		progress := newProgress(diagnostics)
		f.options.Progress = progress.show
		report, err = bench.Throughput(ctx, f.options)
		progress.end()
		if err != nil {
			return nil, fmt.Errorf("throughput: %w", err)
		}
	}
	if slices.Contains(f.parts, partStanding) {
		if report.Standing, err = bench.MeasureStanding(ctx, f.options); err != nil {
			return nil, fmt.Errorf("standing: %w", err)
		}
	}
	if slices.Contains(f.parts, partLag) {
		if report.Lag, err = bench.MeasureLag(ctx, f.options); err != nil {
			return nil, fmt.Errorf("lag: %w", err)
		}
	}
	if slices.Contains(f.parts, partRecovery) {
		if report.Recovery, err = bench.MeasureRecovery(ctx, f.options, f.allocator, f.live); err != nil {
			return nil, fmt.Errorf("recovery: %w", err)
		}
	}
	return report, nil
}

// compare measures this build and that of a commit.
func (f flags) compare(ctx context.Context, report *bench.Report, diagnostics io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	progress := newProgress(diagnostics)
	defer progress.end()
	f.options.Progress = progress.show
	if report.Against, err = bench.MeasureAgainst(ctx, f.options, f.against, self); err != nil {
		return fmt.Errorf("compare with %s: %w", f.against, err)
	}
	return nil
}

// progress is a bar on a terminal and nothing elsewhere.
type progress struct {
	out io.Writer
	bar *progressbar.ProgressBar
}

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return &progress{}
	}
	return &progress{out: out}
}

func (p *progress) show(done, total int, what string) {
	if p.out == nil {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.out), progressbar.OptionClearOnFinish(),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth())
	}
	p.bar.Describe(what)
	_ = p.bar.Set(done) // a bar that cannot be drawn harms nothing
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
