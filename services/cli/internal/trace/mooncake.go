package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// maxMooncakeMillis bounds the time since the start of a trace: a hundred years.
const maxMooncakeMillis = 100 * 366 * 24 * 3600 * 1000

// mooncakeRow is one line. The ids of the prompt's blocks are not needed: they tell what could be cached, not
// what was.
type mooncakeRow struct {
	Timestamp *int64 `json:"timestamp"` // milliseconds since the start of the trace
	Input     *int64 `json:"input_length"`
	Output    *int64 `json:"output_length"`
}

// readMooncake reads the JSON lines of a Mooncake trace.
func readMooncake(r io.Reader, emit func(Call) error) error {
	lines := newLines(r)
	for {
		line, tooLong, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if tooLong {
			return fmt.Errorf("line %d is longer than %d bytes", lines.number, MaxLineBytes)
		}
		if len(line) == 0 {
			continue
		}
		call, err := mooncakeCall(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", lines.number, err)
		}
		if err := emit(call); err != nil {
			return err
		}
	}
}

func mooncakeCall(line []byte) (Call, error) {
	var row mooncakeRow
	if err := json.Unmarshal(line, &row); err != nil {
		return Call{}, err
	}
	if row.Timestamp == nil || row.Input == nil || row.Output == nil {
		return Call{}, errors.New("timestamp, input_length or output_length is missing: is this a mooncake trace?")
	}
	if *row.Timestamp < 0 || *row.Timestamp > maxMooncakeMillis {
		return Call{}, fmt.Errorf("timestamp %d is not within 0..%d ms", *row.Timestamp, int64(maxMooncakeMillis))
	}
	err := errors.Join(checkTokens("input_length", *row.Input), checkTokens("output_length", *row.Output))
	if err != nil {
		return Call{}, err
	}
	return Call{At: time.UnixMilli(*row.Timestamp).UTC(), Tokens: quota.Tokens{Input: *row.Input, Output: *row.Output}}, nil
}
