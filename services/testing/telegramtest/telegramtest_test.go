package telegramtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/bustest"
)

// clock is a clock that stands until it is moved.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// answered is an answer as it stands on the wire.
type answered struct {
	OK          bool
	Result      json.RawMessage
	Code        int `json:"error_code"`
	Description string
	Parameters  struct {
		RetryAfter int64 `json:"retry_after"`
		MigrateTo  int64 `json:"migrate_to_chat_id"`
	}
	status int
}

// call makes a request with a JSON body.
func call(t *testing.T, base, method, body string) answered {
	t.Helper()
	response, err := http.Post(base+"/bot"+Token+"/"+method, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, response)
}

func decode(t *testing.T, response *http.Response) answered {
	t.Helper()
	defer response.Body.Close()
	a := answered{status: response.StatusCode}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

func send(t *testing.T, base string, chat int64, text string) answered {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"chat_id": chat, "text": text})
	return call(t, base, "sendMessage", string(body))
}

func TestSendMessageIsCheckedAsTelegramDoes(t *testing.T) {
	private := fmt.Sprint(PrivateID)
	tests := []struct {
		name   string
		params map[string]any
		code   int
		want   string // in the description
	}{
		{"plain", map[string]any{"text": "hello"}, 0, ""},
		{"no text", map[string]any{}, 400, "message text is empty"},
		{"only spaces", map[string]any{"text": " \n\t "}, 400, "message text is empty"},
		{"longest", map[string]any{"text": strings.Repeat("😀", 4096)}, 0, ""},
		{"too long", map[string]any{"text": strings.Repeat("a", 4097)}, 400, "message is too long"},
		{"no chat", map[string]any{"chat_id": "", "text": "a"}, 400, "chat_id is empty"},
		{"unknown chat", map[string]any{"chat_id": 1, "text": "a"}, 400, "chat not found"},
		{"unknown name", map[string]any{"chat_id": "@nobody", "text": "a"}, 400, "chat not found"},
		{"name", map[string]any{"chat_id": ChannelName, "text": "a"}, 0, ""},
		{"topic", map[string]any{"chat_id": SupergroupID, "message_thread_id": Topic, "text": "a"}, 0, ""},
		{"unknown topic", map[string]any{"chat_id": SupergroupID, "message_thread_id": 99, "text": "a"}, 400, "message thread not found"},
		{"parse mode", map[string]any{"text": "a", "parse_mode": "HTML"}, 501, "parse_mode"},
		{"entity", map[string]any{"text": "a😀b", "entities": []Entity{{"bold", 1, 2}}}, 0, ""},
		{"entity begins in a pair", map[string]any{"text": "a😀b", "entities": []Entity{{"bold", 2, 2}}}, 400, "begins in a middle of a UTF-16 symbol"},
		{"entity ends in a pair", map[string]any{"text": "a😀b", "entities": []Entity{{"bold", 0, 2}}}, 400, "ends in a middle of a UTF-16 symbol"},
		{"entity begins after the text", map[string]any{"text": "ab", "entities": []Entity{{"bold", 2, 1}}}, 400, "begins after the end"},
		{"entity ends after the text", map[string]any{"text": "ab", "entities": []Entity{{"bold", 1, 2}}}, 400, "ends after the end"},
		{"entity of no length", map[string]any{"text": "ab", "entities": []Entity{{"bold", 1, 0}}}, 400, "incorrect length"},
		{"entity before the text", map[string]any{"text": "ab", "entities": []Entity{{"bold", -1, 1}}}, 400, "incorrect offset"},
		{"length that overflows", map[string]any{"text": "ab", "entities": []Entity{{"bold", 1, 1<<63 - 1}}}, 400, "ends after the end"},
		{"unknown type", map[string]any{"text": "ab", "entities": []Entity{{"blink", 0, 1}}}, 400, "unsupported"},
		{"bold in a quote", map[string]any{"text": "abc", "entities": []Entity{{"blockquote", 0, 3}, {"bold", 1, 1}}}, 0, ""},
		{"overlapping", map[string]any{"text": "abc", "entities": []Entity{{"bold", 0, 2}, {"italic", 1, 2}}}, 400, "overlap"},
		{"code in bold", map[string]any{"text": "abc", "entities": []Entity{{"bold", 0, 3}, {"code", 1, 1}}}, 400, "cannot be nested"},
		{"quote in a quote", map[string]any{"text": "abc", "entities": []Entity{{"blockquote", 0, 3}, {"expandable_blockquote", 1, 1}}}, 400, "cannot be nested"},
		{"too many entities", map[string]any{"text": strings.Repeat("a", 200), "entities": slices.Repeat([]Entity{{"bold", 0, 1}}, 101)}, 400, "101 entities"},
		{"entities that are none", map[string]any{"text": "a", "entities": "[{"}, 400, "can't parse entities"},
		{"button", map[string]any{"text": "a", "reply_markup": json.RawMessage(`{"inline_keyboard":[[{"text":"Ack","callback_data":"a"}]]}`)}, 0, ""},
		{"button data too long", map[string]any{"text": "a", "reply_markup": json.RawMessage(`{"inline_keyboard":[[{"text":"Ack","callback_data":"` + strings.Repeat("a", 65) + `"}]]}`)}, 400, "BUTTON_DATA_INVALID"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := New(Config{})
			base := s.Start(t)
			if _, given := test.params["chat_id"]; !given {
				test.params["chat_id"] = private
			}
			body, err := json.Marshal(test.params)
			if err != nil {
				t.Fatal(err)
			}
			a := call(t, base, "sendMessage", string(body))
			if a.OK != (test.code == 0) || a.Code != test.code || !strings.Contains(a.Description, test.want) {
				t.Errorf("answered %+v, want %d %q", a, test.code, test.want)
			}
			if got := len(s.Messages()); (got == 1) != a.OK {
				t.Errorf("%d messages recorded, and the answer is %v", got, a.OK)
			}
		})
	}
}

func TestParametersInEveryForm(t *testing.T) {
	s := New(Config{Unlimited: true})
	base := s.Start(t)
	path := base + "/bot" + Token + "/sendMessage"
	form := url.Values{"chat_id": {fmt.Sprint(PrivateID)}, "text": {"bold"}, "entities": {`[{"type":"bold","offset":0,"length":4}]`}, "disable_notification": {"true"}}
	for name, do := range map[string]func() (*http.Response, error){
		"form":  func() (*http.Response, error) { return http.PostForm(path, form) },
		"query": func() (*http.Response, error) { return http.Get(path + "?" + form.Encode()) },
		"json": func() (*http.Response, error) {
			return http.Post(path, "application/json", strings.NewReader(fmt.Sprintf(`{"chat_id":%d,"text":"bold","entities":[{"type":"bold","offset":0,"length":4}],"disable_notification":true}`, PrivateID)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := do()
			if err != nil {
				t.Fatal(err)
			}
			if a := decode(t, response); !a.OK {
				t.Fatalf("answered %+v", a)
			}
			all := s.Messages()
			m := all[len(all)-1]
			if m.Text != "bold" || !slices.Equal(m.Entities, []Entity{{"bold", 0, 4}}) || !m.Silent || m.ID != int64(len(all)) {
				t.Errorf("recorded %+v", m)
			}
		})
	}
}

func TestToken(t *testing.T) {
	base := New(Config{}).Start(t)
	for path, want := range map[string]int{
		"/bot" + Token + "/getMe":     200,
		"/bot" + Token + "/GETME":     200,
		"/bot" + Token + "x/getMe":    401,
		"/bot1:a/getMe":               401,
		"/botnone/getMe":              404,
		"/bot" + Token + "/sendSmoke": 404,
		"/" + Token + "/getMe":        404,
	} {
		response, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		if a := decode(t, response); a.status != want || a.OK != (want == 200) {
			t.Errorf("%s: answered %+v, want %d", path, a, want)
		}
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		fault    string
		status   int // 0 for no answer that can be read
		accepted bool
		want     string
	}{
		{"ok", 200, true, ""},
		{"429 7", 429, false, "retry after 7"},
		{"500", 500, false, "Internal Server Error"},
		{"403", 403, false, "blocked by the user"},
		{"error 400 Bad Request: something new", 400, false, "something new"},
		{"drop", 0, false, ""},
		{"lost", 0, true, ""},
		{"torn", 0, true, ""},
		{"html 502", 0, false, ""},
		{"late-html 200", 0, true, ""},
		{"late 500", 500, true, "Internal Server Error"},
		{fmt.Sprintf("block %d", PrivateID), 403, false, "blocked"},
		{fmt.Sprintf("mute %d", PrivateID), 400, false, "not enough rights"},
		{"revoke", 401, false, "Unauthorized"},
		{fmt.Sprintf("migrate %d -1005", GroupID), 200, true, ""}, // another chat
	}
	for _, test := range tests {
		t.Run(test.fault, func(t *testing.T) {
			s := New(Config{})
			base := s.Start(t)
			if err := s.Script("# what comes\n\n" + test.fault + "\n"); err != nil {
				t.Fatal(err)
			}
			response, err := http.PostForm(base+"/bot"+Token+"/sendMessage", url.Values{"chat_id": {fmt.Sprint(PrivateID)}, "text": {"a"}})
			var a answered
			if err == nil {
				var content []byte
				content, err = io.ReadAll(response.Body)
				response.Body.Close()
				if err == nil && json.Unmarshal(content, &a) == nil {
					a.status = response.StatusCode
				}
			}
			if a.status != test.status || !strings.Contains(a.Description, test.want) {
				t.Errorf("answered %+v, %v; want %d %q", a, err, test.status, test.want)
			}
			if got := len(s.Messages()) == 1; got != test.accepted {
				t.Errorf("accepted: %v, want %v", got, test.accepted)
			}
			if q := s.Requests(); len(q) != 1 || q[0].Fault != test.fault || (q[0].MessageID != 0) != test.accepted {
				t.Errorf("recorded %+v", q)
			}
			if s.Pending() != 0 {
				t.Errorf("%d faults are left", s.Pending())
			}
		})
	}
}

func TestHangingRequestsEndWithTheServer(t *testing.T) {
	for _, fault := range []string{"hang", "stuck"} {
		t.Run(fault, func(t *testing.T) {
			ended := make(chan error, 1)
			t.Run("server", func(t *testing.T) {
				s := New(Config{})
				base := s.Start(t)
				if err := s.Script(fault); err != nil {
					t.Fatal(err)
				}
				go func() {
					response, err := http.PostForm(base+"/bot"+Token+"/sendMessage", url.Values{"chat_id": {fmt.Sprint(PrivateID)}, "text": {"a"}})
					if err == nil {
						response.Body.Close()
					}
					ended <- err
				}()
				bustest.Eventually(t, "the request hangs", func() bool { return len(s.Requests()) == 1 })
				if got := len(s.Messages()) == 1; got != (fault == "stuck") {
					t.Errorf("accepted: %v", got)
				}
			})
			if err := <-ended; err == nil {
				t.Error("the request was answered")
			}
		})
	}
}

func TestScriptFaultsAreNamed(t *testing.T) {
	s := New(Config{})
	for script, want := range map[string]string{
		"ok\nfly":     "line 2: fly: not a fault",
		"429":         "line 1: 429: needs a number",
		"429 -1":      `"-1" is not a number`,
		"ok 3":        "ok takes no argument",
		"block":       "takes 1 ids",
		"block me":    `"me" is not an id`,
		"now ok":      "only what changes how things are",
		"now":         "nothing to do",
		"html 20":     "is not a number from 200 to 599",
		"lost x0":     "takes no argument",
		"migrate 1":   "takes 2 ids",
		"late twenty": "is not a number",
	} {
		if err := s.Script(script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", script, err, want)
		}
	}
	if s.Pending() != 0 {
		t.Errorf("%d faults were taken from scripts that are wrong", s.Pending())
	}
	if err := s.Script("ok x3\n500"); err != nil || s.Pending() != 4 {
		t.Errorf("%d faults pending, %v", s.Pending(), err)
	}
}

func FuzzScript(f *testing.F) {
	f.Add("429 3 x2\nlost\nnow block 1")
	f.Add("error 400 Bad Request: x\n# c\n\nmigrate -1 -2")
	f.Fuzz(func(t *testing.T, script string) {
		if strings.Contains(script, "x") { // many repetitions are only slow
			t.Skip("many repetitions are only slow")
		}
		s := New(Config{})
		if err := s.Script(script); err != nil && s.Pending() != 0 {
			t.Errorf("%d faults of a wrong script: %v", s.Pending(), err)
		}
	})
}

func TestMigration(t *testing.T) {
	s := New(Config{Unlimited: true})
	base := s.Start(t)
	const to = -1009999999999
	if err := s.Script(fmt.Sprintf("now migrate %d %d", GroupID, to)); err != nil {
		t.Fatal(err)
	}
	if a := send(t, base, GroupID, "a"); a.Code != 400 || a.Parameters.MigrateTo != to {
		t.Errorf("answered %+v", a)
	}
	if a := send(t, base, to, "a"); !a.OK {
		t.Errorf("answered %+v", a)
	}
}

func TestTopics(t *testing.T) {
	s := New(Config{Unlimited: true})
	base := s.Start(t)
	body := fmt.Sprintf(`{"chat_id":%d,"message_thread_id":%d,"text":"a"}`, SupergroupID, Topic)
	for _, step := range []struct{ script, want string }{
		{"", ""},
		{fmt.Sprintf("now close %d %d", SupergroupID, Topic), "TOPIC_CLOSED"},
		{fmt.Sprintf("now delete %d %d", SupergroupID, Topic), "message thread not found"},
	} {
		if err := s.Script(step.script); err != nil {
			t.Fatal(err)
		}
		if a := call(t, base, "sendMessage", body); a.OK != (step.want == "") || !strings.Contains(a.Description, step.want) {
			t.Errorf("%q: answered %+v", step.script, a)
		}
	}
	if m := s.Messages(); len(m) != 1 || m[0].Thread != Topic {
		t.Errorf("recorded %+v", m)
	}
}

func TestFloodLimits(t *testing.T) {
	now := &clock{time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)}
	s := New(Config{Now: now.Now})
	base := s.Start(t)
	for i := range chatBurst {
		if a := send(t, base, PrivateID, "a"); !a.OK {
			t.Fatalf("message %d of a burst: %+v", i, a)
		}
	}
	if a := send(t, base, PrivateID, "a"); a.Code != 429 || a.Parameters.RetryAfter != 3 {
		t.Errorf("after a burst: %+v", a)
	}
	if a := send(t, base, ChannelID, "a"); !a.OK {
		t.Errorf("another chat: %+v", a)
	}
	now.now = now.now.Add(3 * time.Second)
	if a := send(t, base, PrivateID, "a"); !a.OK {
		t.Errorf("after the wait: %+v", a)
	}
	for i := range groupPerMinute {
		now.now = now.now.Add(time.Second)
		if a := send(t, base, GroupID, "a"); !a.OK {
			t.Fatalf("message %d to the group: %+v", i, a)
		}
	}
	now.now = now.now.Add(time.Second)
	if a := send(t, base, GroupID, "a"); a.Code != 429 || a.Parameters.RetryAfter != 40 {
		t.Errorf("to a full group: %+v", a)
	}
	now.now = now.now.Add(40 * time.Second)
	if a := send(t, base, GroupID, "a"); !a.OK {
		t.Errorf("after the wait: %+v", a)
	}
}

func TestAllChatsTogetherAreLimited(t *testing.T) {
	now := &clock{time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)}
	var chats []Chat
	for i := range int64(allPerSecond + 1) {
		chats = append(chats, Chat{ID: i + 1, Type: "private"})
	}
	base := New(Config{Now: now.Now, Chats: chats}).Start(t)
	for i := range int64(allPerSecond) {
		if a := send(t, base, i+1, "a"); !a.OK {
			t.Fatalf("chat %d: %+v", i, a)
		}
	}
	if a := send(t, base, allPerSecond+1, "a"); a.Code != 429 || a.Parameters.RetryAfter != 1 {
		t.Errorf("answered %+v", a)
	}
}

func TestEdit(t *testing.T) {
	s := New(Config{})
	base := s.Start(t)
	send(t, base, PrivateID, "before")
	edit := func(id int, text string) answered {
		return call(t, base, "editMessageText", fmt.Sprintf(`{"chat_id":%d,"message_id":%d,"text":%q}`, PrivateID, id, text))
	}
	if a := edit(1, "after"); !a.OK {
		t.Errorf("answered %+v", a)
	}
	if a := edit(1, "after"); a.Code != 400 || !strings.Contains(a.Description, "message is not modified") {
		t.Errorf("the same again: %+v", a)
	}
	if a := edit(2, "after"); a.Code != 400 || !strings.Contains(a.Description, "message to edit not found") {
		t.Errorf("another message: %+v", a)
	}
	if m := s.Messages(); len(m) != 1 || m[0].Text != "after" || m[0].Edits != 1 {
		t.Errorf("recorded %+v", m)
	}
}

func TestChatsAndRights(t *testing.T) {
	s := New(Config{Webhook: "https://other.example/hook"})
	base := s.Start(t)
	member := func(chat int64) string {
		return string(call(t, base, "getChatMember", fmt.Sprintf(`{"chat_id":%d,"user_id":%d}`, chat, s.botID)).Result)
	}
	if a := call(t, base, "getChat", fmt.Sprintf(`{"chat_id":%d}`, SupergroupID)); !strings.Contains(string(a.Result), `"is_forum":true`) {
		t.Errorf("getChat answered %+v", a)
	}
	if got := member(ChannelID); !strings.Contains(got, `"can_post_messages":true`) {
		t.Errorf("in the channel: %s", got)
	}
	if got := member(GroupID); !strings.Contains(got, `"status":"member"`) {
		t.Errorf("in the group: %s", got)
	}
	if err := s.Script(fmt.Sprintf("now mute %d\nnow mute %d\nnow block %d", ChannelID, GroupID, PrivateID)); err != nil {
		t.Fatal(err)
	}
	if got := member(ChannelID); !strings.Contains(got, `"can_post_messages":false`) {
		t.Errorf("muted in the channel: %s", got)
	}
	if got := member(GroupID); !strings.Contains(got, `"status":"restricted"`) {
		t.Errorf("muted in the group: %s", got)
	}
	if a := call(t, base, "getChat", fmt.Sprintf(`{"chat_id":%d}`, PrivateID)); !a.OK {
		t.Errorf("who blocks the bot is still known: %+v", a)
	}
	if a := call(t, base, "sendChatAction", fmt.Sprintf(`{"chat_id":%d,"action":"typing"}`, PrivateID)); a.Code != 403 {
		t.Errorf("sendChatAction answered %+v", a)
	}
	if a := call(t, base, "getWebhookInfo", `{}`); !strings.Contains(string(a.Result), "other.example") {
		t.Errorf("getWebhookInfo answered %+v", a)
	}
	if a := call(t, base, "getUpdates", `{}`); a.Code != 409 {
		t.Errorf("getUpdates with a webhook answered %+v", a)
	}
}

func TestUpdates(t *testing.T) {
	s := New(Config{})
	base := s.Start(t)
	send(t, base, PrivateID, "press me")
	if _, err := s.Press(2, "x"); err == nil {
		t.Error("a message that is not there was pressed")
	}
	press, err := s.Press(1, "ack")
	if err != nil {
		t.Fatal(err)
	}
	var got []struct {
		ID       int64 `json:"update_id"`
		Callback struct{ ID, Data string }
	}
	a := call(t, base, "getUpdates", `{"timeout":50}`)
	if err := json.Unmarshal(bytes.ReplaceAll(a.Result, []byte("callback_query"), []byte("callback")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Callback.Data != "ack" || got[0].Callback.ID != press {
		t.Fatalf("got %+v", got)
	}
	if a := call(t, base, "answerCallbackQuery", fmt.Sprintf(`{"callback_query_id":%q,"text":"done"}`, press)); !a.OK {
		t.Errorf("answered %+v", a)
	}
	if text, ok := s.Answered(press); !ok || text != "done" {
		t.Errorf("answered %q, %v", text, ok)
	}
	if a := call(t, base, "answerCallbackQuery", `{"callback_query_id":"1"}`); a.Code != 400 {
		t.Errorf("an unknown press: %+v", a)
	}
	if a := call(t, base, "getUpdates", fmt.Sprintf(`{"offset":%d}`, got[0].ID+1)); string(a.Result) != "[]" {
		t.Errorf("after the acknowledgement: %s", a.Result)
	}
}

func TestSecondPollerEndsTheFirst(t *testing.T) {
	s := New(Config{})
	base := s.Start(t)
	send(t, base, PrivateID, "press me")
	first := make(chan answered, 1)
	go func() { first <- call(t, base, "getUpdates", `{"timeout":50}`) }()
	bustest.Eventually(t, "the first poller waits", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.updates.poller != nil
	})
	second := make(chan answered, 1)
	go func() { second <- call(t, base, "getUpdates", `{"timeout":50}`) }()
	if a := <-first; a.Code != 409 {
		t.Errorf("the first poller got %+v", a)
	}
	if _, err := s.Press(1, "x"); err != nil {
		t.Fatal(err)
	}
	if a := <-second; !a.OK || !strings.Contains(string(a.Result), `"data":"x"`) {
		t.Errorf("the second poller got %+v", a)
	}
}

func TestControl(t *testing.T) {
	base := New(Config{}).Start(t)
	post := func(path, body string) int {
		response, err := http.Post(base+path, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	get := func(path string, v any) {
		response, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(v); err != nil {
			t.Fatal(err)
		}
	}
	if got := post("/_control", "fly"); got != 400 {
		t.Errorf("a wrong script: status %d", got)
	}
	if got := post("/_control", "500"); got != 204 {
		t.Errorf("a script: status %d", got)
	}
	send(t, base, PrivateID, "first")
	send(t, base, PrivateID, "second")
	if got := post("/_press", `{"message_id":1,"data":"a"}`); got != 200 {
		t.Errorf("a press: status %d", got)
	}
	if got := post("/_press", `{"message_id":9,"data":"a"}`); got != 400 {
		t.Errorf("a press of nothing: status %d", got)
	}
	var messages []Message
	var requests []Request
	get("/_messages", &messages)
	get("/_requests", &requests)
	if len(messages) != 1 || messages[0].Text != "second" {
		t.Errorf("messages %+v", messages)
	}
	if len(requests) != 2 || requests[0].Status != 500 || requests[1].MessageID != 1 || messages[0].Request != requests[1].Serial {
		t.Errorf("requests %+v", requests)
	}
}

func TestLinksAreFound(t *testing.T) {
	for text, want := range map[string]int{
		"http://a":              1,
		"see evil.example now":  1,
		"10.1.2.3:80":           1,
		"write to me@there.org": 1,
		"hi @somebody":          1,
		"a #tag":                1,
		"of $HOME":              1,
		"do /start":             1,
		"call +1 212 555 0123":  1,
		"4111 1111 1111 1111":   1,
		"nothing: a.1, 3 of 4, /etc/passwd, C#, 5 @ 3": 0,
	} {
		if got := links(text, nil); (len(got) > 0) != (want > 0) {
			t.Errorf("%q: found %q", text, got)
		}
	}
	if got := links("evil.example", []Entity{{"code", 0, 12}}); len(got) != 0 {
		t.Errorf("in code: found %q", got)
	}
}

func TestShow(t *testing.T) {
	var out bytes.Buffer
	s := New(Config{Show: &out})
	base := s.Start(t)
	a := call(t, base, "sendMessage", fmt.Sprintf(`{"chat_id":%d,"text":"😀 bold\ncode\u001b[2J","entities":[{"type":"bold","offset":3,"length":4},{"type":"code","offset":8,"length":4}]}`, PrivateID))
	if !a.OK {
		t.Fatalf("answered %+v", a)
	}
	want := "┌─ message 1 to 48151623\n│ 😀 \x1b[1mbold\x1b[0m\n│ \x1b[36mcode\x1b[0m [2J\n└─\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}
