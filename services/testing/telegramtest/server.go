package telegramtest

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Token is the token that a [Server] expects unless it is configured with another. It has
// the form of a real one, so that it can be looked for in what leaks.
const Token = "7204815936:AAFakeTokenOfTheTestServer_q3Zx9-v2kLm"

// The chats that a [Server] knows unless it is configured with others.
const (
	PrivateID    = 48151623
	GroupID      = -4815162342
	SupergroupID = -1001234567890
	ChannelID    = -1009876543210
	ChannelName  = "@openclaw_alerts"
	Topic        = 7 // of the supergroup
)

// Chat is one chat that the bot is in.
type Chat struct {
	ID       int64
	Type     string // private, group, supergroup, channel
	Title    string
	Username string  // without @
	Topics   []int64 // of a forum
}

// Config says how a [Server] differs from the default.
type Config struct {
	Token string // empty means [Token]
	Chats []Chat // nil means one of each type
	// Unlimited turns the flood limits off.
	Unlimited bool
	// LastID is the id of the last message of a server before this one.
	LastID int64
	// Webhook is the URL that getWebhookInfo tells.
	Webhook string
	// Show, if set, is written each accepted message as a person would see it.
	Show io.Writer
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Server is the stand-in. It is an [http.Handler] and safe for concurrent use.
type Server struct {
	cfg   Config
	botID int64

	mu       sync.Mutex
	revoked  bool
	chats    map[int64]*chat
	faults   []fault
	flood    flood
	record   record
	lastID   int64 // of a message
	updates  updates
	serial   int64 // of requests
	shutdown chan struct{}
}

var _ http.Handler = (*Server)(nil)

// New returns a Server; [Server.Serve] and [Server.Start] give it a listener.
func New(cfg Config) *Server {
	if cfg.Token == "" {
		cfg.Token = Token
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Chats == nil {
		cfg.Chats = []Chat{
			{ID: PrivateID, Type: "private", Title: "Owner", Username: "owner"},
			{ID: GroupID, Type: "group", Title: "Small group"},
			{ID: SupergroupID, Type: "supergroup", Title: "Forum", Topics: []int64{Topic}},
			{ID: ChannelID, Type: "channel", Title: "Channel", Username: strings.TrimPrefix(ChannelName, "@")},
		}
	}
	s := &Server{cfg: cfg, lastID: cfg.LastID, chats: make(map[int64]*chat), shutdown: make(chan struct{})}
	id, _, _ := strings.Cut(cfg.Token, ":")
	s.botID, _ = strconv.ParseInt(id, 10, 64)
	for _, c := range cfg.Chats {
		s.chats[c.ID] = newChat(c)
	}
	s.updates.changed = make(chan struct{})
	return s
}

// methodPath is the path of a method: its token and its name.
var methodPath = regexp.MustCompile(`^/bot(\d+:[A-Za-z0-9_-]+)/(\w+)$`)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_") {
		s.control(w, r)
		return
	}
	at := s.cfg.Now()
	match := methodPath.FindStringSubmatch(r.URL.Path)
	if match == nil {
		reply(w, failure(404, "Not Found"))
		return
	}
	// Method names are the same in any case.
	x := &exchange{server: s, w: w, r: r, method: strings.ToLower(match[2])}
	sends := x.method == "sendmessage" || x.method == "editmessagetext"
	s.mu.Lock()
	s.serial++
	x.request = Request{Serial: s.serial, Time: at, Method: match[2]}
	if sends {
		x.fault = s.nextFault()
	}
	revoked := s.revoked || match[1] != s.cfg.Token
	s.mu.Unlock()
	if x.fault.before() {
		x.breakOff()
		return
	}
	if revoked {
		x.answer(failure(401, "Unauthorized"))
		return
	}
	var bad *answer
	if x.params, bad = readParams(r); bad != nil {
		x.answer(bad)
		return
	}
	x.request.Chat = x.params.text("chat_id")
	x.handle()
}

// exchange is one request and the way back.
type exchange struct {
	server  *Server
	w       http.ResponseWriter
	r       *http.Request
	method  string // in lower case
	params  params
	fault   fault
	request Request
}

func (x *exchange) handle() {
	s := x.server
	switch x.method {
	case "getme":
		x.answer(success(s.me()))
	case "getwebhookinfo":
		x.answer(success(map[string]any{"url": s.cfg.Webhook, "has_custom_certificate": false, "pending_update_count": 0}))
	case "getchat":
		x.locked(s.getChat)
	case "getchatmember":
		x.locked(s.getChatMember)
	case "sendchataction":
		x.locked(s.sendChatAction)
	case "sendmessage":
		x.deliver(s.sendMessage)
	case "editmessagetext":
		x.deliver(s.editMessageText)
	case "editmessagereplymarkup":
		x.deliver(s.editMessageReplyMarkup)
	case "getupdates":
		x.poll()
	case "answercallbackquery":
		x.locked(s.answerCallbackQuery)
	default:
		x.answer(failure(404, "Not Found: method not found"))
	}
}

// locked answers by a function that reads or changes the server's state.
func (x *exchange) locked(f func(params) *answer) {
	x.server.mu.Lock()
	a := f(x.params)
	x.server.mu.Unlock()
	x.answer(a)
}

func (s *Server) me() map[string]any {
	return map[string]any{"id": s.botID, "is_bot": true, "first_name": "Alerts", "username": "openclaw_alerts_bot"}
}
