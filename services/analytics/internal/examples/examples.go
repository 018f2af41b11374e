// Package examples reads the SQL examples of docs/analytics.md, so that tests hold them and the benchmark measures them
// as they stand there.
package examples

import (
	"fmt"
	"strings"
)

// Example is one fenced block of SQL.
type Example struct {
	// Question is the paragraph before the block, without the colon at its end.
	Question string
	SQL      string
	// Hot says that the block is marked "sql hot": it must answer within the time that dashboards have.
	Hot bool
}

// Read returns the examples of a page, in order. It returns an error if a block has no end or no question.
func Read(page string) ([]Example, error) {
	var found []Example
	var paragraph []string
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		info, fence := strings.CutPrefix(lines[i], "```")
		switch {
		case !fence && strings.TrimSpace(lines[i]) == "":
			if len(paragraph) > 0 && i+1 < len(lines) && !strings.HasPrefix(lines[i+1], "```") {
				paragraph = nil
			}
			continue
		case !fence:
			paragraph = append(paragraph, strings.TrimSpace(lines[i]))
			continue
		}
		end := i + 1
		for end < len(lines) && lines[end] != "```" {
			end++
		}
		if end == len(lines) {
			return nil, fmt.Errorf("line %d: the block has no end", i+1)
		}
		if language := strings.Fields(info); len(language) > 0 && language[0] == "sql" {
			question := strings.TrimSuffix(strings.Join(paragraph, " "), ":")
			if question == "" {
				return nil, fmt.Errorf("line %d: the block answers no question", i+1)
			}
			found = append(found, Example{
				Question: question, SQL: strings.Join(lines[i+1:end], "\n"), Hot: len(language) > 1 && language[1] == "hot",
			})
		}
		paragraph = nil
		i = end
	}
	return found, nil
}

// In puts an example into a time and a workspace of its own: "now()", "today()" and the workspace 'acme' are what the
// page writes.
func (e Example) In(now, workspace string) string {
	return strings.NewReplacer(
		"now()", "toDateTime('"+now+"', 'UTC')", "today()", "toDate('"+now[:len("2006-01-02")]+"')", "'acme'", "'"+workspace+"'",
	).Replace(e.SQL)
}
