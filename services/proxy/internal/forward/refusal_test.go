package forward_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRefusedAnswer(t *testing.T) {
	inspect := func(err error, before string) func(*rig) {
		return func(r *rig) {
			r.answer = func(int, http.Header, io.Reader) io.Reader {
				return io.MultiReader(strings.NewReader(before), failing{err})
			}
		}
	}
	json := http.Header{"Content-Type": {"application/json"}, "Request-Id": {"req_1"}}
	t.Run("before its first byte", func(t *testing.T) {
		rig := newRig(t, answering(200, json, `{"secret":1}`), inspect(fmt.Errorf("reading: %w", llmapi.Blocked(`no "rm" with `+testKey)), ""))
		response, body := rig.post("{}")
		if response.StatusCode != 400 || !strings.Contains(body, `no \"rm\" with [redacted]`) {
			t.Errorf("got %d %s", response.StatusCode, body)
		}
		isAnthropicError(t, response, body, "invalid_request_error")
		if o := <-rig.outcomes; o.End != forward.AnswerRefused || o.Status != 400 || o.Upstream != 200 || o.Abort || strings.Contains(o.Err.Error(), testKey) {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("after its first byte", func(t *testing.T) {
		rig := newRig(t, answering(200, json, `{"secret":1}`), inspect(llmapi.Blocked("no"), "{"))
		// The server may not have sent what it has, status included.
		if response, err := rig.do(message(t.Context(), "{}")); err == nil {
			defer response.Body.Close()
			if content, err := io.ReadAll(response.Body); err == nil {
				t.Errorf("got %q as if it were complete", content)
			}
		}
		if o := <-rig.outcomes; o.End != forward.AnswerRefused || o.Status != 200 || !o.Abort {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("a reader that gets nowhere", func(t *testing.T) {
		rig := newRig(t, answering(200, json, "{}"), inspect(io.ErrNoProgress, ""), func(r *rig) {
			r.answer = func(int, http.Header, io.Reader) io.Reader {
				return readerFunc(func([]byte) (int, error) { return 0, nil })
			}
		})
		if response, _ := rig.post("{}"); response.StatusCode != 502 {
			t.Errorf("status %d", response.StatusCode)
		}
	})
}
