package failpoint

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// maxCount is the highest count a specification may give: far more hits than any test makes.
	maxCount = 1_000_000
	// maxSleep is the longest sleep a specification may ask for.
	maxSleep = time.Hour
)

// parsePoint reads `name=[count*]action`.
func parsePoint(text string) (Name, *point, error) {
	left, right, found := strings.Cut(text, "=")
	name := Name(strings.TrimSpace(left))
	if !found {
		return "", nil, fmt.Errorf("failpoint %q has no action: write name=action", text)
	}
	if !known(name) {
		return "", nil, fmt.Errorf("unknown failpoint %q: the known ones are %s", name, joinNames())
	}
	count, rest, err := parseCount(strings.TrimSpace(right))
	if err != nil {
		return "", nil, fmt.Errorf("failpoint %s: %w", name, err)
	}
	act, err := parseAction(rest)
	if err != nil {
		return "", nil, fmt.Errorf("failpoint %s: %w", name, err)
	}
	return name, &point{action: act, only: count}, nil
}

// parseCount splits off a leading `n*`; the count is 0 when there is none.
func parseCount(text string) (uint64, string, error) {
	digits, rest, found := strings.Cut(text, "*")
	// A star inside the parentheses belongs to the text of an action.
	if !found || strings.Contains(digits, "(") {
		return 0, text, nil
	}
	count, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
	if err != nil || count == 0 || count > maxCount {
		return 0, "", fmt.Errorf("count %q is not a whole number from 1 to %d", digits, maxCount)
	}
	return count, strings.TrimSpace(rest), nil
}

func parseAction(text string) (action, error) {
	word, arg, hasArg := strings.Cut(text, "(")
	if hasArg {
		inner, closed := strings.CutSuffix(arg, ")")
		if !closed {
			return action{}, fmt.Errorf("action %q lacks its closing parenthesis", text)
		}
		arg = inner
	}
	switch k := kind(strings.TrimSpace(word)); k {
	case kill, panics:
		if hasArg {
			return action{}, fmt.Errorf("action %q takes nothing in parentheses", k)
		}
		return action{kind: k}, nil
	case sleeps:
		return parseSleep(arg)
	case failures:
		if arg == "" {
			return action{}, fmt.Errorf("action %q needs a text: write error(text)", text)
		}
		return action{kind: failures, text: arg}, nil
	default:
		return action{}, fmt.Errorf("unknown action %q: use kill, panic, sleep(duration) or error(text)", text)
	}
}

func parseSleep(arg string) (action, error) {
	delay, err := time.ParseDuration(arg)
	if err != nil || delay <= 0 || delay > maxSleep {
		return action{}, fmt.Errorf("sleep(%s) needs a duration above 0 and up to %s, such as sleep(15s)", arg, maxSleep)
	}
	return action{kind: sleeps, delay: delay}, nil
}

func joinNames() string {
	names := make([]string, 0, len(Names()))
	for _, name := range Names() {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}
