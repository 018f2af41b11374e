package front

import (
	"context"
	"errors"
	"time"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// verifyTimeout bounds one verification: about what an operator waits for.
const verifyTimeout = 5 * time.Minute

// apply parses the document; one with faults is refused whole, with all of them.
func (f *Front) apply(r *request, b *wire.ApplyRequest) {
	parsed, err := config.Parse("document", []byte(b.Document))
	if err != nil {
		f.refuse(r, configError(err), nil)
		return
	}
	f.command(r, b, b.Command(r.actor, parsed.Quota))
}

func configError(err error) error {
	faults, ok := errors.AsType[config.Faults](err)
	if !ok {
		return err
	}
	e := wire.NewError(quota.CodeInvalid, "the configuration has %d faults and is not applied; details.faults lists them", len(faults))
	if len(faults) == 1 {
		e.Message = "the configuration has a fault and is not applied: " + faults[0].String()
	}
	for _, fault := range faults {
		e.Details.Faults = append(e.Details.Faults, wire.Fault{
			Line: int64(fault.Line), Column: int64(fault.Column), Path: fault.Path, Message: fault.Message, Hint: fault.Hint,
		})
	}
	return e
}

// startVerify folds the kept log again, beside everything else, one at a time.
func (f *Front) startVerify(r *request) {
	select {
	case f.verify <- struct{}{}:
	default:
		f.refuse(r, wire.Unavailable(5*quota.Second, "a verification is running; ask again when it is done"), nil)
		return
	}
	f.readLog(func() {
		defer func() { <-f.verify }()
		ctx, cancel := context.WithTimeout(f.reading, verifyTimeout)
		defer cancel()
		reply, err := f.opt.Verifier.Verify(ctx)
		if err != nil {
			f.refuseRead(r, err, nil)
			return
		}
		f.send(r, wire.AppendReply(nil, reply), quota.CodeOK)
	})
}
