package deliver

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// maxSlackRunes keeps a line readable; Slack itself cuts at 40,000 characters.
const maxSlackRunes = 2000

// slackBody is the event in one or a few lines for people, as an incoming webhook takes it.
func slackBody(event *wire.Event) []byte {
	body, err := json.Marshal(struct {
		Text string `json:"text"`
	}{slackText(event)})
	if err != nil {
		return nil // a struct of one string always has a JSON form
	}
	return body
}

func slackText(event *wire.Event) string {
	text := []rune(sentence(event))
	if len(text) > maxSlackRunes {
		text = append(text[:maxSlackRunes], '…')
	}
	return escape(string(text)) + " (" + escape(event.Workspace()) + ")"
}

// escape replaces the three characters that have a meaning in Slack's text, so that no name can mention a channel or
// pass for a link.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// sentence says what happened.
func sentence(event *wire.Event) string {
	switch event.Kind() {
	case quota.KindLimitWarning:
		return warned(event)
	case wire.KindSuggestionMade:
		return advised(event)
	}
	if event.Subject == "" {
		return event.Kind()
	}
	return event.Kind() + " " + event.Subject
}

func warned(event *wire.Event) string {
	var data wire.LimitWarningData
	if event.Into(&data) != nil || data.Capacity <= 0 {
		return "limit " + event.Subject + " crossed a threshold"
	}
	percent := spentPercent(data.Spent, data.Capacity)
	team := ""
	if data.Team != "" {
		team = " of team " + data.Team
	}
	if data.ThresholdPercent >= quota.ExhaustedPercent {
		return fmt.Sprintf("Limit %s%s is exhausted: %d%% are spent", data.LimitID, team, percent)
	}
	return fmt.Sprintf("Limit %s%s has passed %d%%: %d%% are spent", data.LimitID, team, data.ThresholdPercent, percent)
}

// spentPercent rounds down, so that 100 means all of it.
func spentPercent(spent, capacity int64) int64 {
	const percent = 100
	if spent > 1<<56 { // beyond any limit there can be; only the share matters
		spent, capacity = spent>>8, max(capacity>>8, 1)
	}
	return spent * percent / capacity
}

func advised(event *wire.Event) string {
	var data wire.Suggestion
	if event.Into(&data) != nil {
		return "there is new advice: bursar suggest"
	}
	text := data.Title + "\n" + data.Advice
	if data.SavingMicroUSD > 0 {
		text += fmt.Sprintf("\nWorth $%.2f (%s), confidence %s%%", float64(data.SavingMicroUSD)/1e6,
			strings.ReplaceAll(data.SavingBasis, "_", " "), data.ConfidencePercent)
	}
	return text
}

// thresholdOf is the threshold of a warning, in percent; 0 for all else.
func thresholdOf(event *wire.Event) int64 {
	var data wire.LimitWarningData
	if event.Kind() != quota.KindLimitWarning || event.Into(&data) != nil {
		return 0
	}
	return data.ThresholdPercent
}
