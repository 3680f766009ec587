package telegram

// The Bot API's objects, as far as this package uses them, under the API's
// names: https://core.telegram.org/bots/api#available-types.

// messageParams are the parameters of sendMessage and editMessageText.
type messageParams struct {
	ChatID    string       `json:"chat_id"`
	ThreadID  int64        `json:"message_thread_id,omitempty"`
	MessageID int64        `json:"message_id,omitempty"`
	Text      string       `json:"text"`
	Entities  []entity     `json:"entities,omitempty"`
	Preview   preview      `json:"link_preview_options"`
	Silent    bool         `json:"disable_notification,omitempty"`
	Markup    *replyMarkup `json:"reply_markup,omitempty"`
}

type preview struct {
	Disabled bool `json:"is_disabled"`
}

// noPreview prevents Telegram's servers from fetching what a message mentions.
var noPreview = preview{Disabled: true}

// entity is a part of a text that looks different. Offset and Length count
// UTF-16 code units.
type entity struct {
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
}

type replyMarkup struct {
	Keyboard [][]button `json:"inline_keyboard"`
}

type button struct {
	Text string `json:"text"`
	Data string `json:"callback_data"`
}

type sentMessage struct {
	ID   int64 `json:"message_id"`
	Chat struct {
		ID int64 `json:"id"`
	} `json:"chat"`
}

type user struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
}

type chatInfo struct {
	ID          int64        `json:"id"`
	Type        string       `json:"type"` // private, group, supergroup, channel
	Title       string       `json:"title"`
	FirstName   string       `json:"first_name"`
	Username    string       `json:"username"`
	IsForum     bool         `json:"is_forum"`
	Permissions *permissions `json:"permissions"`
}

type permissions struct {
	CanSend bool `json:"can_send_messages"`
}

type member struct {
	Status  string `json:"status"` // creator, administrator, member, restricted, left, kicked
	CanSend bool   `json:"can_send_messages"`
	CanPost bool   `json:"can_post_messages"`
}

type webhookInfo struct {
	URL string `json:"url"`
}

// chatParams are the parameters of the methods that ask about a chat.
type chatParams struct {
	ChatID   string `json:"chat_id"`
	UserID   int64  `json:"user_id,omitempty"`
	ThreadID int64  `json:"message_thread_id,omitempty"`
	Action   string `json:"action,omitempty"`
}
