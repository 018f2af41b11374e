package notification

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/notification/internal/deliver"
)

// Try posts a warning of a limit that does not exist to an endpoint, once, whatever kinds it wants. The error says what
// the endpoint answered.
func Try(ctx context.Context, e Endpoint, log *slog.Logger) error {
	courier, err := deliver.New(e, nil, log, time.Now)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make an id: %w", err)
	}
	at := quota.Instant(time.Now().UnixMilli())
	event, err := wire.NewForeignEvent("trial", quota.KindLimitWarning, id.String(), "trial/limit", at, wire.LimitWarningData{
		LimitID: "trial/limit", WindowAt: wire.TimeOf(at), ThresholdPercent: quota.ExhaustedPercent, Spent: 1, Capacity: 1,
	})
	if err != nil {
		return err
	}
	body, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("encode the trial message: %w", err)
	}
	return courier.Post(ctx, &event, body)
}
