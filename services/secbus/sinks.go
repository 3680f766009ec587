package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// chats returns the sinks of the bus that send messages to people, or the one
// that is named. They are known by their two durables.
func chats(ctx context.Context, conn *bus.Conn, named string) ([]string, error) {
	o, err := conn.Overview(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, d := range o.Durables {
		name, isChat := strings.CutSuffix(strings.TrimPrefix(d.Name, "notifier-"), "-urgent")
		if isChat {
			all = append(all, name)
		}
	}
	switch {
	case named != "" && !slices.Contains(all, named):
		return nil, fmt.Errorf("there is no chat %s; there are: %s", named, listOr(all, "none"))
	case named != "":
		return []string{named}, nil
	case len(all) == 0:
		return nil, errors.New("no chat is configured: set TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, and start the notifier (and secbus provision, where NATS is not the embedded one)")
	}
	return all, nil
}

func listOr(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}
