package cli

import (
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// showSuggestions lists the advice.
func (a *app) showSuggestions(current *wire.SuggestionList) {
	s := a.screen
	if len(current.Suggestions) == 0 {
		s.Note(screen.Plain, "No suggestions. They appear as spending gives reason for them.")
	}
	for i := range current.Suggestions {
		if i > 0 {
			s.Printf("\n")
		}
		a.showSuggestion(&current.Suggestions[i])
	}
	a.showTogether(current.Suggestions)
	a.showPast(current.Past)
	if len(current.Suggestions) > 0 {
		s.Printf("\n%s\n", s.Paint(screen.Faint, "bursar suggest explain ID shows the evidence and the days."))
	}
}

// showSuggestion writes one in a few lines.
func (a *app) showSuggestion(sug *wire.Suggestion) {
	s := a.screen
	s.Note(screen.Strong, sug.Title)
	s.Note(screen.Plain, sug.Advice)
	a.line("saving", savingText(sug))
	a.line("overlap", overlapText(sug))
	a.line("confidence", confidenceText(sug.ConfidencePercent))
	if r := sug.Realised; r != nil {
		a.line("so far", realisedText(r))
	}
	if sug.Change != nil && sug.Change.Configurable {
		a.line("to do", "bursar suggest --apply "+shortID(sug.SuggestionID))
	}
	a.line("id", screen.Clean(sug.SuggestionID))
}

// confidenceText rounds a confidence down, to 99 % at most: what is computed from some days is never certain.
func confidenceText(p wire.Percent) string {
	const most, tenth, percent = 99_000, 100, 1000
	step := wire.Percent(percent)
	if p < 10*percent {
		step = tenth
	}
	if p >= tenth {
		p -= p % step
	}
	return percentText(min(p, most))
}

// shortID is enough of an id to find it again.
func shortID(id string) string {
	const enough = 6
	return screen.Clean(id[:min(len(id), enough)])
}

func savingText(sug *wire.Suggestion) string {
	text := screen.Money(sug.SavingMicroUSD) + " " + basisText(sug.SavingBasis)
	if b := sug.Backtest; b != nil {
		text += fmt.Sprintf(", in a replay of %s", counted(int64(len(b.Days)), "day"))
	}
	return text
}

// overlapText tells how much of a saving the suggestions before it promise too; empty where they do not.
func overlapText(sug *wire.Suggestion) string {
	left := sug.BesideMicroUSD
	switch {
	case left == nil || *left >= sug.SavingMicroUSD:
		return ""
	case *left <= 0:
		return "nothing of it is left once what is listed before it is followed"
	}
	return screen.Money(*left) + " of it is left once what is listed before it is followed"
}

// showTogether tells what the suggestions that save in the same sense save together, where that is less than their sum: those
// of which something is left once those before them are followed.
func (a *app) showTogether(list []wire.Suggestion) {
	for i := range list {
		basis := list[i].SavingBasis
		if i > 0 && list[i-1].SavingBasis == basis {
			continue // they stand together
		}
		sum, overlap, known, which := list[i].SavingMicroUSD, false, true, "All of these together: "
		for k := i + 1; k < len(list) && list[k].SavingBasis == basis; k++ {
			left := list[k].BesideMicroUSD
			if known = left != nil; !known {
				break
			}
			overlap = overlap || *left < list[k].SavingMicroUSD
			sum += max(*left, 0)
			if *left <= 0 {
				which = "Together, without those of which nothing is left: "
			}
		}
		if overlap && known {
			a.screen.Printf("\n")
			a.screen.Note(screen.Plain, which+screen.Money(sum)+" "+basisText(basis)+".")
		}
	}
}

func realisedText(r *wire.SuggestionRealised) string {
	return fmt.Sprintf("%s saved in %s, of %s promised", screen.Money(r.SavedMicroUSD), counted(r.Days, "day"), screen.Money(r.PromisedMicroUSD))
}

// showPast tells what came of advice that holds no more.
func (a *app) showPast(past []wire.SuggestionPast) {
	for i := range past {
		p := &past[i]
		if i == 0 {
			a.screen.Printf("\n")
			a.screen.Title("What became of earlier advice")
		}
		a.line(stamp(p.MadeAt, time.Local), screen.Clean(p.Title)+": "+realisedText(&p.Realised))
	}
}

// explainSuggestion writes everything that is known of a suggestion, all of it in UTC: its days and its texts are.
func (a *app) explainSuggestion(sug *wire.Suggestion) {
	a.showSuggestion(sug)
	a.line("evidence", "from "+stamp(sug.WindowStartsAt, time.UTC)+" to "+stamp(sug.WindowEndsAt, time.UTC)+" (UTC)")
	for _, e := range sug.Evidence {
		a.line("", evidenceName(e)+": "+evidenceText(e))
	}
	a.showOccurrences(sug.Occurrences)
	if sug.Backtest != nil {
		a.showBacktest(sug)
	}
}

// showBacktest writes a replay, day by day.
func (a *app) showBacktest(sug *wire.Suggestion) {
	s, b := a.screen, sug.Backtest
	s.Printf("\n")
	s.Title("Back-test: the same work, as it was > with the change (days of UTC)")
	t := &screen.Table{Columns: []screen.Column{
		{Title: "DAY"}, {Title: "GAIN", Right: true}, {Title: "SPENT AND FEES", Right: true}, {Title: "DENIED", Right: true},
		{Title: "REFUSED", Right: true}, {Title: "HELD IDLE", Right: true},
	}}
	for i := range b.Days {
		d := &b.Days[i]
		t.Add(screen.Text(d.StartsAt.Time().UTC().Format("Mon Jan 2")), screen.Text(screen.Money(d.GainMicroUSD)),
			screen.Text(pair(screen.Money, d.Was.SpentMicroUSD+d.Was.FeesMicroUSD, d.Would.SpentMicroUSD+d.Would.FeesMicroUSD)),
			screen.Text(pair(screen.Count, d.Was.Denied, d.Would.Denied)), screen.Text(pair(screen.Count, d.Was.Refusals, d.Would.Refusals)),
			screen.Text(pair(screen.Money, d.Was.IdleMicroUSD, d.Would.IdleMicroUSD)))
	}
	s.Table(t)
	s.Printf("\n")
	a.line("sum", fmt.Sprintf("%s; between %s and %s with 95%% confidence, by how the days differ",
		screen.Money(sug.SavingMicroUSD), screen.Money(b.LowMicroUSD), screen.Money(b.HighMicroUSD)))
	waited, exhausted := [2]int64{}, [2]int64{}
	for i := range b.Days {
		waited[0] += b.Days[i].Was.WaitedMS
		waited[1] += b.Days[i].Would.WaitedMS
		exhausted[0] += b.Days[i].Was.ExhaustedMS
		exhausted[1] += b.Days[i].Would.ExhaustedMS
	}
	span := func(ms int64) string { return screen.Span(time.Duration(ms) * time.Millisecond) }
	a.line("waits", pair(span, waited[0], waited[1])+" in all")
	if exhausted != [2]int64{} {
		a.line("exhausted", pair(span, exhausted[0], exhausted[1])+" of windows with nothing left")
	}
	a.line("replayed", fmt.Sprintf("%s; without the change %s of the reserves end as they did", counted(b.Jobs, "job"), percentText(b.AgreementPercent)))
	for i, text := range b.Assumptions {
		label := ""
		if i == 0 {
			label = "assumed"
		}
		a.line(label, screen.Clean(text))
	}
}

// pair writes two figures, or one where they are the same.
func pair(text func(int64) string, was, would int64) string {
	if was == would {
		return text(was)
	}
	return text(was) + " > " + text(would)
}
