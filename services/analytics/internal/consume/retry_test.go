package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
)

// Each new reason is told once: a ClickHouse that comes back may refuse the password, and who looks has to learn that.
func TestANewReasonIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away, refused := errors.New("connection refused"), errors.New("wrong password")
		answers := []error{away, away, refused, refused, nil}
		var told []string
		c := &Consumer{Log: slog.New(slog.DiscardHandler), Ready: func(err error) { told = append(told, fmt.Sprint(err)) }}
		err := c.untilStored(t.Context(), func(context.Context) error {
			answer := answers[0]
			answers = answers[1:]
			return answer
		})
		if want := []string{away.Error(), refused.Error(), "<nil>"}; err != nil || !slices.Equal(told, want) {
			t.Errorf("told %q, want %q; %v", told, want, err)
		}
	})
}
