package proxy

import (
	"net/http"
	"strings"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/known"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// maxAnswers bounds the stored answers that are remembered.
const maxAnswers = 1 << 13

// counts knows of answers that providers store whether their tokens have been counted: an
// answer can be fetched any number of times, and was paid for once.
//
//	first answer ─▶ counted, unless it broke off or is made in the background
//	fetched again ─▶ counted if it was not before; else marked as stored
//
// It is gone with a restart. An answer that nobody has waited for is then counted once more
// when it is fetched, and so are the results of a batch; any other is not.
type counts struct {
	hash  *known.Hash
	known *known.Cache[bool]
}

func newCounts() *counts {
	return &counts{hash: known.NewHash(), known: known.NewCache[bool](maxAnswers)}
}

// stored reports whether the tokens of an answer are counted elsewhere, and remembers
// whether they are now.
func (c *counts) stored(x *exchange, result answer.Result) bool {
	id := result.ID
	switch x.route.API {
	case llmapi.Results:
		id = x.r.URL.Path
	case llmapi.Responses, llmapi.Interactions:
	default:
		return false
	}
	if id == "" {
		return false
	}
	hash := c.hash.Fork() // it is for one goroutine
	key := hash.Sum(0, []byte(x.endpoint.Label()+" "+id))
	before, seen := c.known.Get(key)
	whole := result.Usage != nil && result.Usage.Complete
	c.known.Put(key, before || whole)
	switch {
	case x.isFirst() || result.Usage == nil:
		return false
	case seen:
		return before
	default:
		return x.route.API != llmapi.Results && !result.Background
	}
}

// isFirst reports whether the request has the model answer, and does not read an answer
// that is there.
func (x *exchange) isFirst() bool {
	return x.r.Method == http.MethodPost && !strings.HasSuffix(x.r.URL.Path, "/cancel")
}
