package inspect

import "github.com/openclaw-security/bus/services/proxy/internal/llmapi"

// Request is what one pass over a request's body has found.
type Request struct {
	API    llmapi.API
	Model  string // as the body names it, of a batch the first; empty where the API has it in the path
	Stream bool   // an answer as server-sent events is asked for; false where the API has that in the path

	// Part says that this is one of several parts of a request of the client's, of
	// which none is a request of its own.
	Part bool

	// Session is what the body calls the session that the request belongs to: its
	// prompt_cache_key, else its metadata.user_id; empty if it has neither.
	Session string

	// IncludeUsage is stream_options.include_usage of Chat Completions.
	IncludeUsage bool

	// Segments are in the order of the body and hold every string of it but
	// the empty ones, Model, and the values of "type" and "role" where these
	// are plain words.
	// What they hold in base64 or in data: URLs, if it is text, follows at the
	// end: see [Segment.Attached].
	Segments   []Segment
	Tools      []Tool
	References []Reference // each once, 64 at most
}

// Role is who speaks in a segment.
type Role uint8

// The roles. RoleTool is what a tool answered, whichever way the API carries
// it. RoleOther is what no role is known of: settings, definitions of tools
// (which have [Segment.Tool]) and everything in a place that is not understood.
const (
	RoleOther  Role = iota
	RoleSystem      // system and developer messages, instructions
	RoleUser
	RoleAssistant
	RoleTool

	// roleOpen marks a segment whose role stands later in the body. Parse
	// leaves none.
	roleOpen Role = 0xff
)

// Kind is what a segment is.
type Kind uint8

// The kinds. KindData is never prose: a string with a space, a line break or
// anything but ASCII in a place for data is KindText, unless it is a credential
// for another server. KindArguments and KindReasoning are RoleAssistant's alone.
const (
	KindText      Kind = iota
	KindArguments      // of an earlier tool call, sent again as history: its JSON as one string where the API has it so, else each string inside
	KindReasoning      // the model's own, sent again as history
	KindData           // base64, a URL, a signature, an id, a name, a setting of one word
)

// Segment is one decoded string of a request: a value, or a member's name that
// is more than a plain word.
type Segment struct {
	Role Role
	Kind Kind

	// Text is the string as JSON decodes it, without a copy where it has no
	// escapes: valid UTF-8, never empty. It lives as long as the body and may
	// not be changed.
	Text []byte
	// Tool is the name, or else the id, of the tool that a RoleTool or
	// KindArguments segment belongs to, if the body says, and of the tool
	// that a RoleOther segment defines.
	Tool string
	// Attached is a document: text that the speaker has not said but passes on.
	Attached bool

	declared bool // the body says that this is data of a text
	paths    *paths
	where    step
}

// Path is where the segment stands, such as messages[3].content[0].text. It is
// put together anew at each call. A name that is not a plain word is shown as
// an asterisk, so that a path can be printed anywhere; its length has a bound.
func (s Segment) Path() string {
	if s.paths == nil {
		return ""
	}
	return s.paths.path(s.where)
}

// Tool is the definition of a tool that the caller offers to the model.
type Tool struct {
	// Name is the function's; of a tool that the provider runs, its label or
	// type. It is empty where the body has neither, and can hold any text.
	Name       string
	Definition []byte // its JSON as it stands in the body; may not be changed
}
