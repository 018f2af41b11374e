package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// buildTimeout bounds the building of a commit, from an empty build cache on a slow machine.
const buildTimeout = 20 * time.Minute

// Against compares this build with that of a commit.
type Against struct {
	Commit      string       `json:"commit"`
	Repetitions int          `json:"repetitions"`
	Rows        []Comparison `json:"rows"`
}

// Comparison is one system at one number of clients in both builds. Old and New are medians. The other figures are of
// pairs of runs, one right after the other: the median of new to old, and the ends of its range.
type Comparison struct {
	Clients int    `json:"clients"`
	Name    string `json:"name"`
	Old     Row    `json:"old"`
	New     Row    `json:"new"`
	// Ratio compares the ratios to the bare reply: above 1 the new build is faster.
	Ratio    float64 `json:"ratio"`
	RatioMin float64 `json:"ratio_min"`
	RatioMax float64 `json:"ratio_max"`
	// Processor compares the processor time of a decision: below 1 the new build is cheaper. 0 where the old build does
	// not measure it.
	Processor float64 `json:"processor"`
}

// MeasureAgainst builds the commit of the repository that it is run in, and runs the benchmark of that build and of
// program, this one, in turns. The repetitions of the options are the turns.
func MeasureAgainst(ctx context.Context, o Options, commit, program string) (found *Against, err error) {
	o, done, err := o.prepare()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	old, remove, err := buildCommit(ctx, filepath.Join(o.Dir, "old"), commit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	turns := make([][2]*Report, o.Repetitions)
	for i := range turns {
		for k := range 2 {
			which := (i + k) % 2 // each build is the first of the two in every other turn
			if o.Progress != nil {
				o.Progress(2*i+k, 2*len(turns), [2]string{commit, "this build"}[which])
			}
			if turns[i][which], err = o.runBuild(ctx, [2]string{old, program}[which]); err != nil {
				return nil, err
			}
		}
	}
	return &Against{Commit: commit, Repetitions: len(turns), Rows: compare(turns)}, nil
}

// buildCommit builds the benchmark of a commit in a worktree of its own, which remove takes away.
func buildCommit(ctx context.Context, dir, commit string) (program string, remove func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	if _, err := output(ctx, "", "git", "worktree", "add", "--detach", dir, commit); err != nil {
		return "", nil, err
	}
	remove = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), childStopTimeout)
		defer cancel()
		_, err := output(ctx, "", "git", "worktree", "remove", "--force", dir)
		return err
	}
	program = filepath.Join(dir, "bursar-bench-old")
	if _, err := output(ctx, dir, "go", "build", "-o", program, "./services/cli/cmd/bursar-bench"); err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return program, remove, nil
}

// runBuild runs one build once.
func (o Options) runBuild(ctx context.Context, program string) (*Report, error) {
	clients := make([]string, len(o.Clients))
	for i, n := range o.Clients {
		clients[i] = strconv.Itoa(n)
	}
	args := []string{"-parts", "throughput", "-json", "-repetitions", "1", "-clients", strings.Join(clients, ","), "-duration", o.Duration.String(),
		"-connections", strconv.Itoa(o.Connections), "-dir", o.Dir}
	if help, err := output(ctx, "", program, "-help"); err != nil {
		return nil, err
	} else if len(o.Systems) > 0 && bytes.Contains(help, []byte("-systems")) { // older builds measure everything
		args = append(args, "-systems", strings.Join(o.Systems, ","))
	}
	printed, err := output(ctx, "", program, args...)
	if err != nil {
		return nil, err
	}
	var report Report
	if err := json.Unmarshal(printed, &report); err != nil {
		return nil, fmt.Errorf("%s printed what is not a report: %w", program, err)
	}
	return &report, nil
}

// output runs a program and gives all that it printed; its error tells what the program said.
func output(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Cancel, cmd.WaitDelay = dir, func() error { return cmd.Process.Signal(os.Interrupt) }, childStopTimeout
	var printed, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &said
	if err := cmd.Run(); err != nil {
		said := bytes.TrimSpace(said.Bytes())
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said[max(0, len(said)-maxChildOutput):])
	}
	return append(printed.Bytes(), said.Bytes()...), nil
}

// compare pairs the rows of both builds; what one of them does not have is left out.
func compare(turns [][2]*Report) (rows []Comparison) {
	if len(turns) == 0 {
		return nil
	}
	for _, row := range turns[0][1].Rows {
		var pairs [][2]Row
		for _, turn := range turns {
			old, hasOld := turn[0].row(row.Clients, row.Name)
			now, hasNow := turn[1].row(row.Clients, row.Name)
			if hasOld && hasNow {
				pairs = append(pairs, [2]Row{old, now})
			}
		}
		if len(pairs) > 0 {
			rows = append(rows, comparePairs(row, pairs))
		}
	}
	return rows
}

func (r *Report) row(clients int, name string) (Row, bool) {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Clients == clients && row.Name == name })
	if i < 0 {
		return Row{}, false
	}
	return r.Rows[i], true
}

func comparePairs(of Row, pairs [][2]Row) Comparison {
	c := Comparison{Clients: of.Clients, Name: of.Name}
	var ratios, costs []float64
	for _, pair := range pairs {
		if pair[0].Ratio > 0 {
			ratios = append(ratios, pair[1].Ratio/pair[0].Ratio)
		}
		if pair[0].ProcessorUS > 0 {
			costs = append(costs, pair[1].ProcessorUS/pair[0].ProcessorUS)
		}
	}
	same := func(f float64) float64 { return f }
	c.Ratio, c.Processor = median(ratios, same), median(costs, same)
	if len(ratios) > 0 {
		c.RatioMin, c.RatioMax = slices.Min(ratios), slices.Max(ratios)
	}
	for which, row := range []*Row{&c.Old, &c.New} {
		at := func(value func(Row) float64) float64 {
			return median(pairs, func(p [2]Row) float64 { return value(p[which]) })
		}
		*row = Row{
			Clients: of.Clients, Name: of.Name,
			PerSecond: at(func(r Row) float64 { return r.PerSecond }), Ratio: at(func(r Row) float64 { return r.Ratio }),
			P50MS: at(func(r Row) float64 { return r.P50MS }), P99MS: at(func(r Row) float64 { return r.P99MS }),
			ProcessorUS: at(func(r Row) float64 { return r.ProcessorUS }), Allocations: at(func(r Row) float64 { return r.Allocations }),
			AllocatedBytes: at(func(r Row) float64 { return r.AllocatedBytes }),
		}
	}
	return c
}

// Write prints the comparison for people.
func (a *Against) Write(out io.Writer) {
	fmt.Fprintf(out, "this build against %s, median of %d runs of each in turns\n", a.Commit, a.Repetitions)
	t := newTable(out, table.Row{"clients", "system", "of echo", "new/old", "range", "CPU µs", "new/old", "allocs"}, 1, 3, 4, 5, 6, 7, 8)
	for _, c := range a.Rows {
		t.AppendRow(table.Row{
			c.Clients, c.Name, fmt.Sprintf("%.2f→%.2f", c.Old.Ratio, c.New.Ratio), fmt.Sprintf("%.2f", c.Ratio), fmt.Sprintf("%.2f–%.2f", c.RatioMin, c.RatioMax),
			fmt.Sprintf("%.0f→%.0f", c.Old.ProcessorUS, c.New.ProcessorUS), orNothing("%.2f", c.Processor), fmt.Sprintf("%.0f→%.0f", c.Old.Allocations, c.New.Allocations),
		})
	}
	t.Render()
}
