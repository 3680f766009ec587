package telegramtest

import "time"

// The limits that Telegram documents:
// https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
const (
	chatBurst      = 3 // messages that one chat takes at once; then one a second
	groupPerMinute = 20
	allPerSecond   = 30
)

// flood remembers when messages were accepted.
type flood struct {
	accepted []accepted // of the last minute, oldest first
}

type accepted struct {
	chat int64
	at   time.Time
}

// wait is how long it is until c takes another message; 0 if it does now.
func (f *flood) wait(c *chat, now time.Time) time.Duration {
	for len(f.accepted) > 0 && now.Sub(f.accepted[0].at) >= time.Minute {
		f.accepted = f.accepted[1:]
	}
	var wait time.Duration
	// limit is that of the last n, the oldest is to be d ago.
	limit := func(n int, d time.Duration, of func(accepted) bool) {
		for i := len(f.accepted) - 1; i >= 0; i-- {
			if !of(f.accepted[i]) {
				continue
			}
			if n--; n == 0 {
				wait = max(wait, f.accepted[i].at.Add(d).Sub(now))
				return
			}
		}
	}
	here := func(a accepted) bool { return a.chat == c.ID }
	limit(chatBurst, chatBurst*time.Second, here)
	if c.Type != "private" {
		limit(groupPerMinute, time.Minute, here)
	}
	limit(allPerSecond, time.Second, func(accepted) bool { return true })
	return wait
}

func (f *flood) note(c *chat, now time.Time) {
	f.accepted = append(f.accepted, accepted{c.ID, now})
}
