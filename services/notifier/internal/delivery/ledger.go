package delivery

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// finish does what follows once it is stored that a message was accepted: the
// ledger's record, then the acknowledgements. A process that dies in between
// leaves the rest to the next.
func (d *Delivery) finish(ctx context.Context) error {
	delivery := d.state.Unrecorded.Delivery
	delivery.Ranges = d.state.Unrecorded.Ranges
	if err := d.record(ctx, &delivery, ""); err != nil {
		return err
	}
	d.at("recorded")
	d.settle(ctx)
	d.at("acknowledged")
	d.state.Unrecorded = nil
	if err := d.put(ctx); err != nil {
		return err
	}
	d.at("cleared")
	return nil
}

// record publishes a delivery to the ledger and returns when it is stored. If an
// earlier attempt has done so, the server drops this one by its message id, for as
// long as it remembers ids (two minutes by default). After that there can be two
// records of one message: readers tell them by chat and message id. which tells
// the records apart that a message is to have several of.
func (d *Delivery) record(ctx context.Context, delivery *proto.Delivery, which string) error {
	data, err := json.Marshal(delivery)
	if err != nil {
		return fmt.Errorf("writing the delivery's record: %w", err)
	}
	for retry := newRetry(); ; {
		msg := nats.NewMsg(proto.DeliveriesSubject(d.name))
		msg.Header.Set(nats.MsgIdHdr, delivery.Sink+" "+delivery.Chat+" "+delivery.MessageID+which)
		msg.Data = data
		err := d.Conn.Publish(ctx, msg)
		if err == nil {
			return nil
		}
		if bus.Permanent(err) {
			return fmt.Errorf("recording the delivery: %w", err)
		}
		d.Log.Warn("recording a delivery is delayed", "err", err)
		if err := retry.wait(ctx); err != nil {
			return err
		}
	}
}
