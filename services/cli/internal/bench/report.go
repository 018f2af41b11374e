package bench

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Report is what a benchmark found. Its JSON is the documented shape of `bursar bench --json`.
type Report struct {
	Machine     Machine       `json:"machine"`
	Repetitions int           `json:"repetitions"`
	DurationMS  int64         `json:"duration_ms"` // of one measurement of one system
	Systems     []description `json:"systems"`
	Rows        []Row         `json:"rows"`
	Absent      []Absence     `json:"absent"`
	// Lag and Recovery are filled by [MeasureLag] and [MeasureRecovery]; nil where they were not asked for.
	Lag      *Lag       `json:"lag,omitempty"`
	Recovery []Recovery `json:"recovery,omitempty"`
	// Standing is filled by [MeasureStanding].
	Standing []Standing `json:"standing,omitempty"`
	// Against is filled by [MeasureAgainst], alone; nil otherwise.
	Against *Against `json:"against,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// Row is one system at one number of clients. Each figure is the median over the repetitions.
type Row struct {
	Clients int    `json:"clients"`
	Name    string `json:"name"` // of the system
	// PerSecond counts durable decisions: a reserve and its release are two.
	PerSecond float64 `json:"per_second"`
	// Ratio is the median of the ratios to the echo within each repetition; RatioMin and RatioMax are
	// the ends of their range.
	Ratio    float64 `json:"ratio"`
	RatioMin float64 `json:"ratio_min"`
	RatioMax float64 `json:"ratio_max"`
	P50MS    float64 `json:"p50_ms"` // of the reserve
	P99MS    float64 `json:"p99_ms"`
	// ProcessorUS is the processor time that one decision costs, in microseconds: of the clients, the NATS server
	// and the allocator together; ProcessorRatio is that of the bare reply in relation to it, the ratio that the processors
	// allow where nothing else holds a decision up. Allocations and AllocatedBytes are what it takes of the heap. All are 0 for systems that
	// are processes of their own.
	ProcessorUS    float64 `json:"processor_us"`
	ProcessorRatio float64 `json:"processor_ratio"`
	Allocations    float64 `json:"allocations"`
	AllocatedBytes float64 `json:"allocated_bytes"`
}

// Absence is a system that was not, or not fully, measured, and why.
type Absence struct {
	System string `json:"system"`
	Reason string `json:"reason"`
}

// NewReport returns a report of this machine with nothing measured yet.
func NewReport(o Options) *Report {
	return &Report{
		Machine:     Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()},
		Repetitions: o.Repetitions,
		DurationMS:  o.Duration.Milliseconds(),
		Systems:     []description{},
		Rows:        []Row{},
		Absent:      []Absence{},
	}
}

// report gives what was measured.
func (r *run) report() *Report {
	report := NewReport(r.options)
	report.Absent = append(report.Absent, r.absent...)
	for _, side := range r.sides {
		report.Systems = append(report.Systems, side.description)
	}
	for _, clients := range r.options.Clients {
		for index, side := range r.sides {
			if samples := r.samples[cell{index, clients}]; len(samples) > 0 {
				report.Rows = append(report.Rows, summarise(side.Name, clients, samples, r.samples[cell{side.echo, clients}]))
			}
		}
	}
	return report
}

// summarise takes medians. The i-th sample and the i-th echo are of the same repetition, as a side that
// failed once is measured no further.
func summarise(name string, clients int, samples, echoes []sample) Row {
	var ratios, costs []float64
	for i, s := range samples {
		if s.cost.processor > 0 {
			costs = append(costs, float64(echoes[i].cost.processor)/float64(s.cost.processor))
		}
		if echoes[i].perSecond > 0 {
			ratios = append(ratios, s.perSecond/echoes[i].perSecond)
		}
	}
	row := Row{
		Clients: clients, Name: name,
		PerSecond: median(samples, func(s sample) float64 { return s.perSecond }),
		P50MS:     median(samples, func(s sample) float64 { return milliseconds(s.p50) }),
		P99MS:     median(samples, func(s sample) float64 { return milliseconds(s.p99) }),

		ProcessorUS:    median(samples, func(s sample) float64 { return float64(s.cost.processor) / float64(time.Microsecond) }),
		Allocations:    median(samples, func(s sample) float64 { return s.cost.allocs }),
		AllocatedBytes: median(samples, func(s sample) float64 { return s.cost.bytes }),
	}
	if row.ProcessorUS > 0 {
		row.ProcessorRatio = median(costs, func(ratio float64) float64 { return ratio })
	}
	if len(ratios) > 0 {
		row.Ratio = median(ratios, func(ratio float64) float64 { return ratio })
		row.RatioMin, row.RatioMax = slices.Min(ratios), slices.Max(ratios)
	}
	return row
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median gives the middle value (of an even number, the upper of the two middle ones), 0 for none.
func median[T any, N cmp.Ordered](items []T, value func(T) N) N {
	var zero N
	if len(items) == 0 {
		return zero
	}
	values := make([]N, 0, len(items))
	for _, item := range items {
		values = append(values, value(item))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// Write prints the report for people, in 80 columns where it can.
func (r *Report) Write(out io.Writer) {
	if r.Against != nil {
		r.Against.Write(out)
		return
	}
	fmt.Fprintf(out, "%d processors, %s/%s, %s; median of %d repetitions of %d ms, systems taking turns\n",
		r.Machine.CPUs, r.Machine.OS, r.Machine.Arch, r.Machine.Go, r.Repetitions, r.DurationMS)
	for _, system := range r.Systems {
		fmt.Fprintf(out, "  %-18s %s; %s, %s; connections: %s\n",
			system.Name, system.System, system.Durability, system.Setting, system.Layout)
	}
	if len(r.Rows) > 0 {
		r.writeRows(out)
	}
	for _, absence := range r.Absent {
		fmt.Fprintf(out, "not measured: %s: %s\n", absence.System, absence.Reason)
	}
	if len(r.Standing) > 0 {
		writeStanding(out, r.Standing)
	}
	if l := r.Lag; l != nil {
		fmt.Fprintf(out, "commit to ClickHouse, %d clients, %.0f decisions/s: p50 %.0f ms, p99 %.0f ms, at most %.0f ms over %d commits\n",
			l.Clients, l.PerSecond, l.P50MS, l.P99MS, l.MaxMS, l.Commits)
	}
	for _, one := range r.Recovery {
		fmt.Fprintf(out, "allocator with %6d live reservations: %.0f MB resident; ready %.0f ms after a clean stop, %.0f ms after a kill\n",
			one.Live, one.MemoryMB, one.CleanMS, one.KilledMS)
	}
}

// writeRows prints a table for each number of clients.
func (r *Report) writeRows(out io.Writer) {
	for begin := 0; begin < len(r.Rows); {
		end := begin
		for end < len(r.Rows) && r.Rows[end].Clients == r.Rows[begin].Clients {
			end++
		}
		fmt.Fprintf(out, "%d clients\n", r.Rows[begin].Clients)
		writeTable(out, r.Rows[begin:end])
		begin = end
	}
}

func writeTable(out io.Writer, rows []Row) {
	t := newTable(out, table.Row{"system", "per s", "of echo", "range", "p50 ms", "p99 ms", "CPU µs", "of echo", "allocs"}, 2, 3, 4, 5, 6, 7, 8, 9)
	for _, row := range rows {
		t.AppendRow(table.Row{
			row.Name, fmt.Sprintf("%.0f", row.PerSecond), fmt.Sprintf("%.2f", row.Ratio), fmt.Sprintf("%.2f–%.2f", row.RatioMin, row.RatioMax),
			orNothing("%.2f", row.P50MS), orNothing("%.2f", row.P99MS), orNothing("%.1f", row.ProcessorUS), orNothing("%.2f", row.ProcessorRatio), orNothing("%.0f", row.Allocations),
		})
	}
	t.Render()
}

// newTable makes a table that is as narrow as can be; the numbered columns, from 1, are of figures.
func newTable(out io.Writer, header table.Row, figures ...int) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(out)
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", " "
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	t.AppendHeader(header)
	var right []table.ColumnConfig
	for _, number := range figures {
		right = append(right, table.ColumnConfig{Number: number, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	return t
}

// orNothing writes a figure that is there: a system so slow that no reserve fell into a measurement has no latency, and
// a process of its own no cost.
func orNothing(format string, figure float64) string {
	if figure == 0 {
		return "–"
	}
	return fmt.Sprintf(format, figure)
}
