package campaign

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// act is one piece of trouble for one chat.
type act struct {
	name   string
	ambush     // for requests to the chat
	times  int // of them; 0 is one
	// now, if set, takes the place of the ambush: a script that changes at once how
	// things are. undo is one that makes an end of it, when a request shows that
	// the notifier has met it.
	now, undo string
	begin     func() // is called when now is about to be done
	shows     func(telegramtest.Request) bool
}

// faults are what the stand-in can do to one request. After one that hangs the
// client would wait for 90 seconds; it is killed instead.
func (x *trouble) faults() []act {
	var acts []act
	for _, script := range []string{
		fmt.Sprintf("429 %d", 1+x.random.IntN(3)), "500", "html 502", "html 200", "drop",
		"lost", "torn", "late 500", "late-html 504",
		"error 400 Bad Request: can't parse entities: made up",
		"error 400 Bad Request: message is too long",
	} {
		acts = append(acts, act{name: script, ambush: ambush{script: script}})
	}
	return append(acts,
		act{name: "killed while it hangs", ambush: ambush{script: "hang", at: arrived, hit: x.killNotifier}},
		act{name: "killed while it is stuck", ambush: ambush{script: "stuck", at: arrived, hit: x.killNotifier}})
}

// slow are the faults that take minutes to get over.
func (x *trouble) slow() []act {
	return []act{
		{name: "hang", ambush: ambush{script: "hang"}},
		{name: "stuck", ambush: ambush{script: "stuck"}},
		{name: "long 429", ambush: ambush{script: "429 45"}},
	}
}

// everyForm is a message that is refused until it is given up.
func everyForm() act {
	return act{name: "refused in every form", times: forms, ambush: ambush{script: "error 400 Bad Request: can't parse entities: made up"}}
}

// kills are the processes that die, at each step of a request.
func (x *trouble) kills() []act {
	kill := func(name string, at step, script string, hit func()) act {
		delay := time.Duration(0)
		if at == answered {
			delay = time.Duration(x.random.IntN(30)) * time.Millisecond
		}
		return act{name: strings.TrimSuffix(fmt.Sprintf("%s killed: %s, %s", name, at, script), ", "), ambush: ambush{script: script, at: at, hit: hit, delay: delay}}
	}
	both := func() { x.killServer(); x.killNotifier() }
	var acts []act
	for _, at := range []step{arrived, decided, answered} {
		acts = append(acts, kill("notifier", at, "", x.killNotifier), kill("server", at, "", x.killServer))
	}
	return append(acts,
		kill("both", decided, "", both),
		kill("notifier", decided, "lost", x.killNotifier),
		kill("server", decided, "torn", x.killServer))
}

// states are how a chat can be for a while, and what does not come back: a
// group's id, a topic.
func (x *trouble) states() []act {
	switch x.chat {
	case person:
		return []act{{name: "revoked", now: "now revoke", undo: "now restore", shows: answeredWith(401)}}
	case person + 1:
		id := telegramtest.PrivateID + 1
		return []act{{name: "blocked", now: fmt.Sprintf("now block %d", id), undo: fmt.Sprintf("now unblock %d", id), shows: answeredWith(403)}}
	case person + 2:
		return []act{everyForm()}
	case group:
		return []act{{
			name: "moved", now: fmt.Sprintf("now migrate %d %d", movedGroup(x.moves), movedGroup(x.moves+1)),
			begin: func() { x.moves++ },
			shows: sentWith(400),
		}}
	default:
		acts := []act{{
			name: "muted", now: fmt.Sprintf("now mute %d", telegramtest.SupergroupID), undo: fmt.Sprintf("now unmute %d", telegramtest.SupergroupID),
			// One that starts finds out by itself.
			shows: func(q telegramtest.Request) bool { return sentWith(400)(q) || q.Method == "getChatMember" },
		}}
		if how := x.topic; how != "" {
			acts = append(acts, act{
				name: how + " topic", now: fmt.Sprintf("now %s %d %d", how, telegramtest.SupergroupID, telegramtest.Topic),
				begin: func() { x.topic = "" },
				shows: sentWith(400),
			})
		}
		return acts
	}
}

func answeredWith(status int) func(telegramtest.Request) bool {
	return func(q telegramtest.Request) bool { return q.Status == status && q.Fault == "" }
}

func sentWith(status int) func(telegramtest.Request) bool {
	return func(q telegramtest.Request) bool { return q.Method == "sendMessage" && answeredWith(status)(q) }
}

// movedGroup is the id of the group after n moves.
func movedGroup(n int64) int64 {
	if n == 0 {
		return telegramtest.GroupID
	}
	return -1_000_000_000_000 + telegramtest.GroupID - n
}

// trouble makes it for one chat.
type trouble struct {
	*rig
	random   *rand.Rand
	chat     int
	moves    int64  // of the group
	topic    string // how the topic will be lost, once
	happened []string
}

func newTrouble(r *rig, seed uint64, chat int) *trouble {
	x := &trouble{rig: r, random: rand.New(rand.NewPCG(seed, 2+uint64(chat))), chat: chat}
	x.topic = []string{"close", "delete"}[x.random.IntN(2)]
	return x
}

// everything happens once: the chat's states, and its share of the acts that can
// happen to any chat.
func (x *trouble) everything(ctx context.Context) error {
	acts := x.states()
	share := []int{person, person + 1, person + 2, group, person, person + 1, person + 2, forum}
	for i, a := range slices.Concat(x.faults(), x.kills()) {
		if share[i%len(share)] == x.chat {
			acts = append(acts, a)
		}
	}
	x.random.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
	for _, a := range acts {
		if err := x.play(ctx, a, true); err != nil {
			return err
		}
	}
	return nil
}

// anything happens until end.
func (x *trouble) anything(ctx context.Context, end time.Time) error {
	for time.Now().Before(end) {
		var acts []act
		switch x.random.IntN(10) {
		case 0:
			acts = x.slow()
		case 1:
			acts = append(x.states(), everyForm())
		case 2, 3, 4:
			acts = x.kills()
		default:
			acts = x.faults()
		}
		if err := x.play(ctx, acts[x.random.IntN(len(acts))], x.random.IntN(2) == 0); err != nil {
			return err
		}
		switch x.random.IntN(10) { // at no step in particular
		case 0, 1:
			x.killNotifier()
		case 2:
			x.killServer()
		}
	}
	return nil
}
