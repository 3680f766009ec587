package natsconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// busAccount holds the streams. Few roles are users of it ([bus.Role]).
const busAccount = "BUS"

// apiInfo is imported by every role, whether it may use it or not. Without it
// the server has the account import all of $JS.API from the system account,
// which then answers "JetStream not enabled for account" before the account of
// the streams does (nats-server, enableJetStreamInfoServiceImportOnly).
const apiInfo = "$JS.API.INFO"

// Accounts returns the accounts block of a NATS server's configuration for the
// roles, with their public nkeys by role name. Every role needs one.
//
// Each role but those WithStreams has an account of its own, which imports from
// the account of the streams just what the role may use:
//
//	account shipper-suricata              account BUS (JetStream)
//	  user ── permissions ── imports ───────▶ ingest.alert.box1.suricata.>
//	   ▲                                       stream ─▶ reply
//	   └───────────────── reply ◀──────────────────────────┘
//
// Permissions alone are not enough. The server sends an answer to whatever reply
// subject the request names, with its own rights: a shipper could have had the
// answer to a request of its own, whose content it chooses, published as another
// source's alert. Across accounts an answer reaches only who asked.
func Accounts(roles []bus.Role, keys map[string]string) (string, error) {
	if len(roles) == 0 {
		// Without users, the server lets everybody do everything.
		return "", errors.New("no roles")
	}
	var own, others strings.Builder
	var exports []export
	for _, r := range roles {
		key := keys[r.Name]
		if key == "" {
			return "", fmt.Errorf("role %s has no public key", r.Name)
		}
		if r.WithStreams {
			own.WriteString("      " + user(r, key))
			continue
		}
		services, streams := imports(r)
		if !slices.Contains(services, apiInfo) {
			services = append(services, apiInfo)
		}
		for _, subject := range services {
			exports = grant(exports, "service", subject, r.Name)
		}
		for _, subject := range streams {
			exports = grant(exports, "stream", subject, r.Name)
		}
		fmt.Fprintf(&others, "  %q {\n", r.Name)
		others.WriteString("    users [\n      " + user(r, key) + "    ]\n")
		others.WriteString("    imports [\n")
		for _, subject := range services {
			fmt.Fprintf(&others, "      { service { account: %s, subject: %q } }\n", busAccount, subject)
		}
		for _, subject := range streams {
			fmt.Fprintf(&others, "      { stream { account: %s, subject: %q } }\n", busAccount, subject)
		}
		others.WriteString("    ]\n  }\n")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "accounts {\n  %s {\n    jetstream: enabled\n    users [\n%s    ]\n    exports [\n", busAccount, own.String())
	for _, e := range exports {
		fmt.Fprintf(&b, "      { %s: %q, %saccounts: [%s] }\n", e.kind, e.subject, responses(e), quoted(e.roles))
	}
	fmt.Fprintf(&b, "    ]\n  }\n%s}\n", others.String())
	return b.String(), nil
}

// imports are what the role reaches in the account of the streams: requests and
// publishes as services, subscriptions but for its own inbox as streams.
func imports(r bus.Role) (services, streams []string) {
	for _, subject := range r.Subscribe {
		if !strings.HasPrefix(subject, bus.InboxPrefix(r.Name)+".") {
			streams = append(streams, subject)
		}
	}
	return r.Publish, streams
}

func user(r bus.Role, key string) string {
	return fmt.Sprintf("{ nkey: %s, permissions {\n        publish %s\n        subscribe %s\n      } }\n", key, only(r.Publish), only(r.Subscribe))
}

// only permits these subjects and nothing else. An empty list of allowed
// subjects would mean all.
func only(subjects []string) string {
	if len(subjects) == 0 {
		return `{ deny: [">"] }`
	}
	return fmt.Sprintf("{ allow: [%s] }", quoted(subjects))
}

// export is a subject and the roles that may import it: the server knows one
// export for each subject.
type export struct {
	kind    string // "service" or "stream"
	subject string
	roles   []string
}

func grant(exports []export, kind, subject, role string) []export {
	i := slices.IndexFunc(exports, func(e export) bool { return e.kind == kind && e.subject == subject })
	if i < 0 {
		return append(exports, export{kind, subject, []string{role}})
	}
	exports[i].roles = append(exports[i].roles, role)
	return exports
}

// responses says that more than one answer may come: to a pull request and to a
// direct get of several messages. The server closes others after the first.
func responses(e export) string {
	if e.kind == "service" && (strings.HasPrefix(e.subject, "$JS.API.CONSUMER.MSG.NEXT.") || strings.HasPrefix(e.subject, "$JS.API.DIRECT.GET.")) {
		return "response: stream, "
	}
	return ""
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(q, ", ")
}
