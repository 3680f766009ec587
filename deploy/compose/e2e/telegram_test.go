package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
)

// chatMessage is what the stand-in for Telegram has accepted.
type chatMessage struct {
	ID   int64  `json:"message_id"`
	Chat int64  `json:"chat"`
	Text string `json:"text"`
}

// messages are those that a chat of the stack has received.
func (r *rig) messages(chat string) []chatMessage {
	r.t.Helper()
	return received(r.ctx, r.t, r.units["fake-telegram"].addr, chat)
}

// received are the messages that a chat has received from the stand-in at addr.
func received(ctx context.Context, t *testing.T, addr, chat string) []chatMessage {
	t.Helper()
	var all []chatMessage
	if err := getJSON(ctx, "http://"+addr+"/_messages", &all); err != nil {
		t.Fatalf("asking for the messages: %v", err)
	}
	return slices.DeleteFunc(all, func(m chatMessage) bool { return fmt.Sprint(m.Chat) != chat })
}

func getJSON(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(into)
}
