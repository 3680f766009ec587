package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// secretPart is what of the test server's token nobody may see.
var secretPart = strings.SplitN(telegramtest.Token, ":", 2)[1]

var testToken = config.NewSecret(telegramtest.Token)

// open returns a chat at api; change may change its settings.
func open(t *testing.T, api string, change func(*Config)) *Chat {
	t.Helper()
	cfg := Config{
		Name:      "telegram",
		Token:     testToken,
		Chat:      strconv.Itoa(telegramtest.PrivateID),
		PerMinute: 60,
		API:       api,
	}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func toChat(id string) func(*Config) { return func(cfg *Config) { cfg.Chat = id } }

func rendered(t *testing.T, c *Chat, b sink.Batch, level int) sink.Message {
	t.Helper()
	m, ok := c.Render(b, level)
	if !ok {
		t.Fatalf("there is no level %d", level)
	}
	return m
}

func notice(text string) sink.Batch {
	return sink.Batch{Kind: proto.DeliveryNotice, Text: text}
}

// failure checks that err is a sink error and shows no secret.
func failure(t *testing.T, err error) *sink.Error {
	t.Helper()
	var failed *sink.Error
	if !errors.As(err, &failed) {
		t.Fatalf("the error %T is no *sink.Error: %v", err, err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", e, e, e), secretPart) {
			t.Errorf("the token is in the error %#v", e)
		}
	}
	return failed
}

func TestSend(t *testing.T) {
	s := telegramtest.New(telegramtest.Config{})
	c := open(t, s.Start(t), nil)
	b := notice("Title\nbody")
	b.Silent = true
	r, err := c.Send(t.Context(), rendered(t, c, b, 0), sink.Place{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if want := (sink.Receipt{Chat: strconv.Itoa(telegramtest.PrivateID), MessageID: "1"}); r != want {
		t.Errorf("receipt %+v, want %+v", r, want)
	}
	m := s.Messages()[0]
	if m.Text != "Title\nbody" || !m.Silent || !m.NoPreview || len(m.Entities) != 1 || m.Entities[0] != (telegramtest.Entity{Type: "bold", Offset: 0, Length: 5}) {
		t.Errorf("accepted %+v", m)
	}
}

func TestSendToPlaces(t *testing.T) {
	s := telegramtest.New(telegramtest.Config{Unlimited: true})
	c := open(t, s.Start(t), func(cfg *Config) {
		cfg.Chat, cfg.Thread = strconv.Itoa(telegramtest.SupergroupID), telegramtest.Topic
	})
	tests := []struct {
		name   string
		where  sink.Place
		chat   int64
		thread int64
	}{
		{"as configured", sink.Place{}, telegramtest.SupergroupID, telegramtest.Topic},
		{"without the topic", sink.Place{NoThread: true}, telegramtest.SupergroupID, 0},
		{"another chat", sink.Place{Chat: strconv.Itoa(telegramtest.GroupID), NoThread: true}, telegramtest.GroupID, 0},
		{"by name", sink.Place{Chat: telegramtest.ChannelName, NoThread: true}, telegramtest.ChannelID, 0},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := c.Send(t.Context(), rendered(t, c, notice("a"), 0), test.where, false)
			if err != nil {
				t.Fatal(err)
			}
			if m := s.Messages()[i]; m.Chat != test.chat || m.Thread != test.thread || r.Chat != strconv.FormatInt(test.chat, 10) {
				t.Errorf("accepted %+v, receipt %+v", m, r)
			}
		})
	}
}

func TestRepeatedMessageSaysSo(t *testing.T) {
	s := telegramtest.New(telegramtest.Config{})
	c := open(t, s.Start(t), nil)
	m := rendered(t, c, sink.Batch{Alerts: []sink.Alert{{Event: metadataAccess(), Count: 1}}}, 0)
	for _, repeat := range []bool{false, true} {
		if _, err := c.Send(t.Context(), m, sink.Place{}, repeat); err != nil {
			t.Fatal(err)
		}
	}
	all := s.Messages()
	if want := "(may repeat)\n" + all[0].Text; all[1].Text != want {
		t.Errorf("got  %q\nwant %q", all[1].Text, want)
	}
	if len(all[0].Entities) == 0 || len(all[0].Entities) != len(all[1].Entities) {
		t.Fatalf("entities %v and %v", all[0].Entities, all[1].Entities)
	}
	for i, e := range all[0].Entities {
		if e.Offset += len("(may repeat)\n"); all[1].Entities[i] != e {
			t.Errorf("entity %d is %+v, want %+v", i, all[1].Entities[i], e)
		}
	}
}

// TestErrorTable goes through all that a server can answer.
func TestErrorTable(t *testing.T) {
	tests := []struct {
		name     string
		script   string
		chat     string // empty for the private one
		thread   int64
		level    int
		want     sink.Class
		retry    time.Duration
		movedTo  string
		accepted bool   // the server has the message all the same
		says     string // in the error
	}{
		{name: "429", script: "429 7", want: sink.NotSent, retry: 7 * time.Second, says: "Too Many Requests"},
		{name: "429 without a time", script: "error 429 Too Many Requests", want: sink.NotSent},
		{name: "420", script: "error 420 FLOOD_WAIT", want: sink.NotSent},
		{name: "broken off before it was read", script: "drop", want: sink.Ambiguous},
		{name: "broken off after it was accepted", script: "lost", want: sink.Ambiguous, accepted: true},
		{name: "broken off within the answer", script: "torn", want: sink.Ambiguous, accepted: true},
		{name: "500", script: "500", want: sink.Ambiguous},
		{name: "500 after it was accepted", script: "late 500", want: sink.Ambiguous, accepted: true},
		{name: "502", script: "502", want: sink.Ambiguous},
		{name: "a page, status 502", script: "html 502", want: sink.Ambiguous},
		{name: "a page, status 200", script: "html 200", want: sink.Ambiguous},
		{name: "a page, status 200, after it was accepted", script: "late-html 200", want: sink.Ambiguous, accepted: true},
		{name: "a page, status 403", script: "html 403", want: sink.Ambiguous},
		{name: "redirected", script: "html 302", want: sink.NotSent},
		{name: "can't parse", script: "error 400 Bad Request: can't parse entities: x", want: sink.Refused},
		{name: "can't parse the last level", script: "error 400 Bad Request: can't parse entities: x", level: lastLevel, want: sink.Refused},
		{name: "too long", script: "error 400 Bad Request: message is too long", level: lastLevel, want: sink.Refused},
		{name: "button", script: "error 400 Bad Request: BUTTON_DATA_INVALID", want: sink.Refused},
		{name: "unknown 400", script: "error 400 Bad Request: MERCURY_RETROGRADE", want: sink.Unclear},
		{name: "unknown 400 at the last level", script: "error 400 Bad Request: MERCURY_RETROGRADE", level: lastLevel, want: sink.Broken},
		{name: "migrated", script: fmt.Sprintf("migrate %d -1009999999999", telegramtest.GroupID), chat: strconv.Itoa(telegramtest.GroupID), want: sink.Moved, movedTo: "-1009999999999"},
		{name: "migrated, nobody says where", script: "error 400 Bad Request: group chat was upgraded to a supergroup chat", want: sink.Broken, says: "the new id"},
		{name: "topic gone", script: fmt.Sprintf("delete %d %d", telegramtest.SupergroupID, telegramtest.Topic), chat: strconv.Itoa(telegramtest.SupergroupID), thread: telegramtest.Topic, want: sink.NoThread},
		{name: "topic closed", script: fmt.Sprintf("close %d %d", telegramtest.SupergroupID, telegramtest.Topic), chat: strconv.Itoa(telegramtest.SupergroupID), thread: telegramtest.Topic, want: sink.NoThread},
		{name: "General topic closed", script: "error 400 Bad Request: TOPIC_CLOSED", chat: strconv.Itoa(telegramtest.SupergroupID), want: sink.Broken, says: "open the General topic"},
		{name: "chat not found", chat: "1", want: sink.Broken, says: "TELEGRAM_CHAT_ID"},
		{name: "no rights", script: fmt.Sprintf("mute %d", telegramtest.GroupID), chat: strconv.Itoa(telegramtest.GroupID), want: sink.Broken, says: "allow the bot"},
		{name: "no rights in the channel", script: fmt.Sprintf("mute %d", telegramtest.ChannelID), chat: telegramtest.ChannelName, want: sink.Broken, says: "allow the bot"},
		{name: "no plain text", script: "error 400 Bad Request: CHAT_SEND_PLAIN_FORBIDDEN", want: sink.Broken, says: "allow the bot"},
		{name: "blocked", script: fmt.Sprintf("block %d", telegramtest.PrivateID), want: sink.Broken, says: "press Start"},
		{name: "kicked", script: fmt.Sprintf("block %d", telegramtest.GroupID), chat: strconv.Itoa(telegramtest.GroupID), want: sink.Broken, says: "add the bot"},
		{name: "deactivated group", script: "error 400 Bad Request: group chat was deactivated", want: sink.Broken, says: "the chat is gone"},
		{name: "deactivated", script: "error 403 Forbidden: user is deactivated", want: sink.Broken, says: "the chat is gone"},
		{name: "401", script: "revoke", want: sink.Broken, says: "TELEGRAM_BOT_TOKEN"},
		{name: "404", script: "404", want: sink.Broken, says: "TELEGRAM_BOT_TOKEN"},
		{name: "402", script: "error 402 Payment Required", want: sink.Broken},
		{name: "409", script: "409", want: sink.NotSent},
		{name: "413", script: "413", want: sink.Refused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := telegramtest.New(telegramtest.Config{Unlimited: true})
			c := open(t, s.Start(t), func(cfg *Config) {
				if test.chat != "" {
					cfg.Chat = test.chat
				}
				cfg.Thread = test.thread
			})
			if err := s.Script(test.script); err != nil {
				t.Fatal(err)
			}
			_, err := c.Send(t.Context(), rendered(t, c, notice("a"), test.level), sink.Place{}, false)
			failed := failure(t, err)
			if failed.Class != test.want || failed.RetryAfter != test.retry || failed.MovedTo != test.movedTo || !strings.Contains(failed.Error(), test.says) {
				t.Errorf("got %v, %v, %q: %v", failed.Class, failed.RetryAfter, failed.MovedTo, failed)
			}
			if got := len(s.Messages()) == 1; got != test.accepted {
				t.Errorf("accepted: %v", got)
			}
			if n := len(s.Requests()); n != 1 {
				t.Errorf("%d requests were made of one attempt", n)
			}
		})
	}
}

func TestMovedAndThreadlessMessagesArrive(t *testing.T) {
	s := telegramtest.New(telegramtest.Config{Unlimited: true})
	c := open(t, s.Start(t), toChat(strconv.Itoa(telegramtest.GroupID)))
	if err := s.Script(fmt.Sprintf("migrate %d -1009999999999", telegramtest.GroupID)); err != nil {
		t.Fatal(err)
	}
	m := rendered(t, c, notice("a"), 0)
	_, err := c.Send(t.Context(), m, sink.Place{}, false)
	if r, err := c.Send(t.Context(), m, sink.Place{Chat: failure(t, err).MovedTo}, false); err != nil || r.Chat != "-1009999999999" {
		t.Errorf("receipt %+v, %v", r, err)
	}
}

func TestNothingWritten(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, api := range map[string]string{
		"connection refused": "http://" + l.Addr().String(),
		"no TLS":             strings.Replace(plain.URL, "http:", "https:", 1),
		"unknown host":       "http://telegram.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, api, nil)
			_, err := c.Send(t.Context(), rendered(t, c, notice("a"), 0), sink.Place{}, false)
			if failed := failure(t, err); failed.Class != sink.NotSent {
				t.Errorf("got %v: %v", failed.Class, failed)
			}
		})
	}
}

// traced is a transport that only tells what it does.
type traced func(*httptrace.ClientTrace)

func (f traced) RoundTrip(r *http.Request) (*http.Response, error) {
	f(httptrace.ContextClientTrace(r.Context()))
	return nil, errors.New("broken off")
}

func TestWhatWasWrittenDecides(t *testing.T) {
	for name, test := range map[string]struct {
		transport traced
		want      sink.Class
	}{
		"no connection": {func(trace *httptrace.ClientTrace) { trace.GetConn("a") }, sink.NotSent},
		"written":       {func(trace *httptrace.ClientTrace) { trace.GetConn("a"); trace.WroteHeaderField("a", nil) }, sink.Ambiguous},
		// A kept connection was closed before anything reached it, and there is no other.
		"another connection": {func(trace *httptrace.ClientTrace) {
			trace.GetConn("a")
			trace.WroteHeaderField("a", nil)
			trace.GetConn("a")
		}, sink.NotSent},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, "", nil)
			c.client.http.Transport = test.transport
			_, err := c.Send(t.Context(), rendered(t, c, notice("a"), 0), sink.Place{}, false)
			if failed := failure(t, err); failed.Class != test.want {
				t.Errorf("got %v: %v", failed.Class, failed)
			}
		})
	}
}

func TestEndOfContext(t *testing.T) {
	s := telegramtest.New(telegramtest.Config{})
	c := open(t, s.Start(t), nil)
	m := rendered(t, c, notice("a"), 0)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Send(done, m, sink.Place{}, false)
	if failed := failure(t, err); failed.Class != sink.NotSent || !errors.Is(err, context.Canceled) {
		t.Errorf("before anything was written: %v, %v", failed.Class, err)
	}
	if err := s.Script("stuck"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Send(ctx, m, sink.Place{}, false)
		ended <- err
	}()
	bustest.Eventually(t, "the message is accepted", func() bool { return len(s.Messages()) == 1 })
	cancel()
	err = <-ended
	if failed := failure(t, err); failed.Class != sink.Ambiguous || !errors.Is(err, context.Canceled) {
		t.Errorf("after it was accepted: %v, %v", failed.Class, err)
	}
}

// TestServersThatMisbehave: what is not an answer of the Bot API is not taken for
// one, and costs no memory.
func TestServersThatMisbehave(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   sink.Class
	}{
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, sink.Ambiguous},
		"echoes the path": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"ok":false,"error_code":404,"description":"no %s"}`, r.URL.Path)
		}, sink.Broken},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1"+r.URL.Path, http.StatusTemporaryRedirect)
		}, sink.NotSent},
		"redirects to a fault": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "://"+r.URL.Path)
			w.WriteHeader(http.StatusFound)
		}, sink.Ambiguous},
		"empty":          {func(http.ResponseWriter, *http.Request) {}, sink.Ambiguous},
		"no object":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[]`) }, sink.Ambiguous},
		"neither":        {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"result":{}}`) }, sink.Ambiguous},
		"strange result": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"ok":true,"result":[]}`) }, sink.Ambiguous},
		"strange wait": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"ok":false,"error_code":429,"parameters":{"retry_after":-5}}`)
		}, sink.NotSent},
		"no code":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); fmt.Fprint(w, `{"ok":false}`) }, sink.Ambiguous},
		"malformed reply": {hijacked("HTTP/1.1 2x0 " + telegramtest.Token + "\r\n\r\n"), sink.Ambiguous},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			defer server.Close()
			c := open(t, server.URL, nil)
			_, err := c.Send(t.Context(), rendered(t, c, notice("a"), 0), sink.Place{}, false)
			if failed := failure(t, err); failed.Class != test.want || failed.RetryAfter != 0 {
				t.Errorf("got %v, %v: %v", failed.Class, failed.RetryAfter, failed)
			}
		})
	}
}

// hijacked answers with raw bytes.
func hijacked(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(raw))
	}
}

func TestAbsurdWaitIsBounded(t *testing.T) {
	e := &apiError{code: 429, retryAfter: 1 << 62}
	if got := e.wait(); got != 24*time.Hour {
		t.Errorf("got %v", got)
	}
}

func TestEdit(t *testing.T) {
	s := telegramtest.New(telegramtest.Config{})
	c := open(t, s.Start(t), nil)
	r, err := c.Send(t.Context(), rendered(t, c, notice("before"), 0), sink.Place{}, false)
	if err != nil {
		t.Fatal(err)
	}
	after := rendered(t, c, notice("after"), 0)
	for range 2 { // the second time it is not modified
		if err := c.Edit(t.Context(), r, after); err != nil {
			t.Fatal(err)
		}
	}
	if m := s.Messages(); len(m) != 1 || m[0].Text != "after" || m[0].Edits != 1 {
		t.Errorf("the chat has %+v", m)
	}
	r.MessageID = "99"
	if failed := failure(t, c.Edit(t.Context(), r, after)); failed.Class != sink.Refused {
		t.Errorf("a message that is gone: %v", failed)
	}
	r.MessageID = "x"
	if failed := failure(t, c.Edit(t.Context(), r, after)); failed.Class != sink.Refused {
		t.Errorf("an id that is none: %v", failed)
	}
}

func TestStoredMessageThatIsNone(t *testing.T) {
	c := open(t, "http://127.0.0.1:1", nil)
	_, err := c.Send(t.Context(), json.RawMessage(`[`), sink.Place{}, false)
	if failed := failure(t, err); failed.Class != sink.Refused {
		t.Errorf("got %v", failed)
	}
}

func TestUpdates(t *testing.T) {
	s := telegramtest.New(telegramtest.Config{})
	c := open(t, s.Start(t), func(cfg *Config) {
		cfg.Buttons = func(sink.Batch) [][]sink.Button {
			return [][]sink.Button{{{Text: "Ack", Data: "ack"}, {Data: "no text"}, {Text: "no data"}, {Text: "too long", Data: strings.Repeat("x", 65)}}, {{}}}
		}
	})
	if _, err := c.Send(t.Context(), rendered(t, c, notice("a"), 0), sink.Place{}, false); err != nil {
		t.Fatal(err)
	}
	if got := string(s.Messages()[0].Markup); got != `{"inline_keyboard":[[{"text":"Ack","callback_data":"ack"}]]}` {
		t.Errorf("buttons %s", got)
	}
	press, err := s.Press(1, "ack")
	if err != nil {
		t.Fatal(err)
	}
	updates, err := c.updates(t.Context(), 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(updates) != 1 || updates[0].Callback.ID != press || updates[0].Callback.Data != "ack" || updates[0].Callback.From.ID != telegramtest.PrivateID || updates[0].Callback.Message.ID != 1 {
		t.Fatalf("got %+v", updates)
	}
	if err := c.respond(t.Context(), press, strings.Repeat("😀", 300)); err != nil {
		t.Error(err)
	}
	if text, ok := s.Answered(press); !ok || text == "" {
		t.Error("the press was not answered")
	}
	if failed := failure(t, c.respond(t.Context(), "7", "")); failed.Class != sink.Unclear {
		t.Errorf("a press that is not known: %v", failed)
	}
	if updates, err = c.updates(t.Context(), updates[0].ID+1, 0); err != nil || len(updates) != 0 {
		t.Errorf("after the acknowledgement: %+v, %v", updates, err)
	}
}

func TestOtherPoller(t *testing.T) {
	c := open(t, telegramtest.New(telegramtest.Config{Webhook: "https://elsewhere.example/"}).Start(t), nil)
	if _, err := c.updates(t.Context(), 0, 0); !errors.Is(err, errOtherPoller) {
		t.Errorf("got %v", err)
	}
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		chat      string
		perMinute int
		want      int
	}{
		{"5", 10, 10}, {"5", 60, 60}, {"-5", 10, 10}, {"-5", 60, 20}, {"-1001234567890", 21, 20}, {"@channel", 60, 20},
	} {
		c := open(t, "", func(cfg *Config) { cfg.Chat, cfg.PerMinute = test.chat, test.perMinute })
		if got := c.Limits(); got.PerMinute != test.want || got.Gap != 1100*time.Millisecond {
			t.Errorf("%s, %d: got %+v", test.chat, test.perMinute, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no token":            func(cfg *Config) { cfg.Token = config.Secret{} },
		"token with a path":   func(cfg *Config) { cfg.Token = config.NewSecret("1:a/../" + secretPart) },
		"chat with no @":      func(cfg *Config) { cfg.Chat = "me" },
		"no chat":             func(cfg *Config) { cfg.Chat = "" },
		"no rate":             func(cfg *Config) { cfg.PerMinute = 0 },
		"URL without a host":  func(cfg *Config) { cfg.API = "http://" },
		"URL of another sort": func(cfg *Config) { cfg.API = "ftp://a" },
		"URL with a password": func(cfg *Config) { cfg.API = "http://a:" + secretPart + "@b" },
		"URL with a query":    func(cfg *Config) { cfg.API = "http://b?x" },
	} {
		cfg := Config{Token: testToken, Chat: "5", PerMinute: 1}
		change(&cfg)
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), secretPart) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	c := open(t, "", nil)
	if got := fmt.Sprintf("%v %+v", c.cfg, c.cfg); strings.Contains(got, secretPart) {
		t.Errorf("the settings print as %s", got)
	}
}
