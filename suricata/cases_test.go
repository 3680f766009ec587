package suricata

import "strings"

// Addresses of the other side. The client has one of its own in each
// conversation, by which its alerts are told, unless the case is about it.
const (
	outside  = "198.51.100.7"
	inside   = "10.99.0.2"
	llmProxy = "10.99.0.8"
)

// Keys have the shape of real ones and are nobody's.
const (
	anthropicKey = "sk-ant-api03-AAAAAAAAAAAAAAAAAAAAAAAA"
	openaiKey    = "sk-proj-BBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	googleKey    = "AIzaCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
	telegramKey  = "123456789:AADDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD"
	githubKey    = "ghp_0123456789abcdefABCD0123456789abcdef"
)

const idOutput = "uid=1000(node) gid=1000(node) groups=1000(node)\n"

// A ruleCase is a conversation and the rules that it fires: all of them, so that
// one that fires nothing is a near miss.
type ruleCase struct {
	name    string
	rule    int    // the rule that the case is about
	client  string // "" for one of its own
	server  string
	traffic traffic
	fires   []int
}

func ruleCases() []ruleCase {
	return []ruleCase{
		// 9900001: metadata service.
		{name: "metadata of Amazon", rule: 9900001, server: "169.254.169.254", traffic: get(80, "/latest/meta-data/iam/", "Host: 169.254.169.254"), fires: []int{9900001}},
		{name: "metadata of Google", rule: 9900001, server: "169.254.169.254", traffic: get(80, "/computeMetadata/v1/", "Host: metadata.google.internal", "Metadata-Flavor: Google"), fires: []int{9900001}},
		{name: "DNS server at the metadata address", rule: 9900001, server: "169.254.169.254", traffic: lookup("example.com")},
		{name: "another link-local address", rule: 9900001, server: "169.254.169.253", traffic: get(80, "/latest/meta-data/", "Host: 169.254.169.253")},

		// 9900002: foreign origin.
		{name: "page of a stranger", rule: 9900002, server: inside, traffic: get(18789, "/", "Host: 10.99.0.2:18789", "Upgrade: websocket", "Origin: https://evil.example"), fires: []int{9900002}},
		{name: "origin before host", rule: 9900002, server: inside, traffic: get(18789, "/", "origin: https://evil.example", "host: 10.99.0.2:18789"), fires: []int{9900002}},
		{name: "name that begins like this machine", rule: 9900002, server: inside, traffic: get(18789, "/", "Host: 127.0.0.1:18789", "Origin: http://localhost.evil.example"), fires: []int{9900002}},
		{name: "name that begins like the host", rule: 9900002, server: inside, traffic: get(18789, "/", "Host: gw:18789", "Origin: http://gw:18789.evil.example"), fires: []int{9900002}},
		{name: "opaque origin", rule: 9900002, server: inside, traffic: get(18789, "/", "Host: 10.99.0.2:18789", "Origin: null"), fires: []int{9900002}},
		{name: "foreign origin that posts", rule: 9900002, server: inside, traffic: post(18789, "/api", "x", "Host: 10.99.0.2:18789", "Origin: https://evil.example"), fires: []int{9900002}},
		{name: "same origin", rule: 9900002, server: inside, traffic: get(18789, "/", "Host: 10.99.0.2:18789", "Origin: http://10.99.0.2:18789")},
		{name: "same origin behind TLS, origin first", rule: 9900002, server: inside, traffic: get(18789, "/", "Origin: https://box.tailnet.example", "Host: box.tailnet.example")},
		{name: "origin localhost", rule: 9900002, server: inside, traffic: get(18789, "/", "Host: gateway:18789", "Origin: http://localhost:18789")},
		{name: "origin 127.0.0.1", rule: 9900002, server: inside, traffic: get(18789, "/", "Host: gateway:18789", "Origin: http://127.0.0.1:18789")},
		{name: "no origin", rule: 9900002, server: inside, traffic: get(18789, "/", "Host: 10.99.0.2:18789", "X-Original: https://evil.example")},
		{name: "foreign origin elsewhere", rule: 9900002, server: inside, traffic: get(8000, "/", "Host: 10.99.0.2:8000", "Origin: https://evil.example")},

		// 9900003 and 9900020: output of id.
		{name: "reverse shell that speaks first", rule: 9900003, server: outside, traffic: connection(4444, says(idOutput)), fires: []int{9900003}},
		{name: "reverse shell that answers", rule: 9900020, server: outside, traffic: connection(4444, says("$ "), answers("id\n"), says(idOutput+"$ "), answers("pwd\n"), says("/home/node\n$ ")), fires: []int{9900003}},
		{name: "reverse shell of which much was seen", rule: 9900020, server: outside, traffic: connection(4444, says(strings.Repeat("drwxr-xr-x 2 node node 4096 .\n", 100)+"$ "), answers(strings.Repeat("ls -la; ", 400)+"\n"), says("$ "), answers("id\n"), says(idOutput)), fires: []int{9900020}},
		{name: "id in a page about id", rule: 9900003, server: outside, traffic: connection(80, request("GET", "/man/id", "", "Host: man.example"), response("text/html", "<pre>"+idOutput+"</pre>"))},
		{name: "id in a prompt to the proxy", rule: 9900003, server: inside, traffic: post(8080, "/v1/messages", `{"role":"user","content":"`+idOutput+strings.Repeat("long ", 2000)+idOutput+`"}`, "Host: security-llm-proxy:8080")},
		{name: "id in a prompt whose header comes first", rule: 9900003, server: inside, traffic: connection(8080, says("POST /v1/messages HTTP/1.1\r\nHost: security-llm-proxy:8080\r\nContent-Length: 4040\r\n\r\n"), says("{\n"+idOutput+strings.Repeat("x", 4040)))},
		{name: "id in an answer that is streamed", rule: 9900003, server: "10.99.0.3", traffic: connection(8080, says("GET /events HTTP/1.1\r\nHost: gw:8080\r\n\r\n"), answers("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"), answers("data: "+idOutput+"\n"), answers(idOutput))},
		{name: "id in WebSocket", rule: 9900003, server: "10.99.0.5", traffic: connection(18789, upgrade(), switching(), answers(frame("{\"text\":\"x\"}")), answers(frame(idOutput)), answers(frame(strings.Repeat("long ", 5)+idOutput)))},
		{name: "id in an HTTP upload on a held connection", rule: 9900020, server: inside, traffic: open(8000, says("PUT /notes HTTP/1.1\r\nHost: notes:8000\r\nContent-Length: 99999\r\n\r\n"), says(strings.Repeat("note\n", 2000)), says(idOutput))},
		{name: "uid and gid that are numbers", rule: 9900003, server: outside, traffic: connection(9000, says("uid=12 gid=34 ok\n"))},
		{name: "uid and gid in an NFS export", rule: 9900020, server: outside, traffic: connection(9000, says("hello\n"), answers("hello\n"), says("anonuid=12,anongid=34\n"))},

		// 9900004, 9900016, 9900017: keys in cleartext.
		{name: "key in a body", rule: 9900004, server: outside, traffic: post(80, "/collect", "key="+anthropicKey, "Host: collect.example"), fires: []int{9900004}},
		{name: "key of Telegram in a body", rule: 9900004, server: outside, traffic: post(8081, "/collect", `{"token":"`+telegramKey+`"}`, "Host: collect.example"), fires: []int{9900004}},
		{name: "key to the LLM proxy in a body", rule: 9900004, server: inside, traffic: post(8080, "/v1/messages", "key="+anthropicKey, "Host: security-llm-proxy:8080")},
		{name: "words that begin like a key", rule: 9900004, server: outside, traffic: post(80, "/", "task-anthropic risk-assessment sk-ant-api desk-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Host: notes.example")},
		{name: "key in x-api-key", rule: 9900016, server: outside, traffic: post(80, "/v1/messages", "{}", "Host: llm.example", "x-api-key: "+anthropicKey), fires: []int{9900016}},
		{name: "key in Authorization", rule: 9900016, server: outside, traffic: get(80, "/v1/models", "Host: llm.example", "Authorization: Bearer "+openaiKey), fires: []int{9900016}},
		{name: "key to the LLM proxy in a header", rule: 9900016, server: inside, traffic: get(8080, "/v1/models", "Host: security-llm-proxy:8080", "Authorization: Bearer "+openaiKey)},
		{name: "token of another kind", rule: 9900016, server: outside, traffic: get(80, "/", "Host: shop.example", "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.", "Cookie: risk-level=sk-1")},
		{name: "key in a query", rule: 9900017, server: outside, traffic: get(80, "/v1beta/models?key="+googleKey, "Host: generativelanguage.example"), fires: []int{9900017}},
		{name: "key of Telegram in a path", rule: 9900017, server: outside, traffic: get(80, "/bot"+telegramKey+"/getMe", "Host: bot.example"), fires: []int{9900017}},
		{name: "key of GitHub in a query", rule: 9900017, server: outside, traffic: get(80, "/?t="+githubKey, "Host: git.example"), fires: []int{9900017}},
		{name: "key to an inner service in a query", rule: 9900017, server: inside, traffic: get(8080, "/v1beta/models?key="+googleKey, "Host: security-llm-proxy:8080")},
		{name: "path that begins like a key", rule: 9900017, server: outside, traffic: get(80, "/desk-office/AIza/ghp_short", "Host: shop.example")},

		// 9900005: names of request catchers.
		{name: "webhook.site", rule: 9900005, server: outside, traffic: lookup("abc123.webhook.site"), fires: []int{9900005}},
		{name: "the service itself, in capitals", rule: 9900005, server: outside, traffic: lookup("OASTIFY.com"), fires: []int{9900005}},
		{name: "tunnel by name", rule: 9900005, server: outside, traffic: lookup("x.ngrok-free.app"), fires: []int{9900005}},
		{name: "name that ends alike", rule: 9900005, server: outside, traffic: lookup("notwebhook.site")},
		{name: "name that goes on", rule: 9900005, server: outside, traffic: lookup("webhook.site.example.com")},

		// 9900006: shell scripts.
		{name: "script by curl", rule: 9900006, server: outside, traffic: get(80, "/install.sh", "Host: get.example", "User-Agent: curl/8.5.0"), fires: []int{9900006}},
		{name: "script by wget with a query", rule: 9900006, server: outside, traffic: get(80, "/install.sh?v=2", "Host: get.example", "User-Agent: Wget/1.21"), fires: []int{9900006}},
		{name: "script in a browser", rule: 9900006, server: outside, traffic: get(80, "/install.sh", "Host: get.example", "User-Agent: Mozilla/5.0 curl/8")},
		{name: "page whose name begins alike", rule: 9900006, server: outside, traffic: get(80, "/install.shtml", "Host: get.example", "User-Agent: curl/8.5.0")},

		// 9900007: ELF.
		{name: "ELF", rule: 9900007, server: outside, traffic: connection(80, request("GET", "/payload.bin", "", "Host: get.example"), response("application/octet-stream", "\x7fELF\x02\x01\x01"+strings.Repeat("\x00", 200))), fires: []int{9900007}},
		{name: "file about ELF", rule: 9900007, server: outside, traffic: connection(80, request("GET", "/notes", "", "Host: get.example"), response("text/plain", "the magic is \x7fELF at the start"))},

		// 9900008: TLS to tunnels.
		{name: "ngrok", rule: 9900008, server: outside, traffic: handshake("evil.ngrok.io"), fires: []int{9900008}},
		{name: "Cloudflare's quick tunnel", rule: 9900008, server: outside, traffic: handshake("odd-words.trycloudflare.com"), fires: []int{9900008}},
		{name: "Cloudflare itself", rule: 9900008, server: outside, traffic: handshake("api.cloudflare.com")},
		{name: "server name that ends alike", rule: 9900008, server: outside, traffic: handshake("mengrok.io")},

		// 9900009: long labels.
		{name: "long label", rule: 9900009, server: outside, traffic: lookup(strings.Repeat("a1", 30) + ".t.example"), fires: []int{9900009}},
		{name: "long second label", rule: 9900009, server: outside, traffic: lookup("1." + strings.Repeat("a1", 25) + ".t.example"), fires: []int{9900009}},
		{name: "many long labels", rule: 9900009, server: outside, traffic: repeated(5, lookup(strings.Repeat("b2", 30)+".t.example")), fires: []int{9900009}},
		{name: "label of 49 characters", rule: 9900009, server: outside, traffic: lookup(strings.Repeat("a", 49) + ".cdn.example")},

		// 9900010: SSH.
		{name: "SSH outwards", rule: 9900010, server: outside, traffic: connection(22, answers("SSH-2.0-OpenSSH_9.6\r\n"), says("SSH-2.0-OpenSSH_9.2\r\n")), fires: []int{9900010}},
		{name: "SSH on another port", rule: 9900010, server: outside, traffic: connection(443, answers("SSH-2.0-OpenSSH_9.6\r\n"), says("SSH-2.0-Go\r\n")), fires: []int{9900010}},
		{name: "SSH within the network", rule: 9900010, server: inside, traffic: connection(22, answers("SSH-2.0-OpenSSH_9.6\r\n"), says("SSH-2.0-OpenSSH_9.2\r\n"))},
		{name: "port of SSH without SSH", rule: 9900010, server: outside, traffic: connection(22)},

		// 9900011 and 9900019: mining.
		{name: "Stratum", rule: 9900011, server: outside, traffic: connection(3333, says(`{"id":1,"method":"mining.subscribe","params":["miner/1"]}`+"\n")), fires: []int{9900011}},
		{name: "Stratum on the port of TLS", rule: 9900011, server: outside, traffic: connection(443, says(`{"id": 1, "method": "mining.authorize", "params": ["w"]}`+"\n")), fires: []int{9900011}},
		{name: "conversation about Stratum", rule: 9900011, server: inside, traffic: post(8080, "/v1/messages", `{"content":"send {\"id\":1,\"method\":\"mining.subscribe\"}"}`, "Host: security-llm-proxy:8080")},
		{name: "another method", rule: 9900011, server: outside, traffic: connection(3333, says(`{"id":1,"method":"eth_mining.status"}`+"\n"))},
		{name: "XMRig", rule: 9900019, server: outside, traffic: connection(3333, says(`{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4A","pass":"x","agent":"XMRig/6.21.0 (Linux x86_64)","algo":["rx/0"]}}`+"\n")), fires: []int{9900019}},
		{name: "login of another protocol", rule: 9900019, server: outside, traffic: connection(3333, says(`{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"ann","agent":"chat/1.0"}}`+"\n"))},

		// 9900012: scan.
		{name: "scan", rule: 9900012, server: inside, traffic: refused(7000, 25), fires: []int{9900012}},
		{name: "few refusals", rule: 9900012, server: inside, traffic: refused(7000, 19)},
		{name: "many connections that succeed", rule: 9900012, server: outside, traffic: repeated(40, connection(443))},

		// 9900013: Docker API.
		{name: "container created", rule: 9900013, server: inside, traffic: post(2375, "/v1.43/containers/create?name=x", "{}", "Host: docker"), fires: []int{9900013}},
		{name: "command in a container, on another port", rule: 9900013, server: inside, traffic: post(12375, "/containers/0a1b2c/exec", "{}", "Host: docker"), fires: []int{9900013}},
		{name: "list of containers", rule: 9900013, server: inside, traffic: get(2375, "/v1.43/containers/json", "Host: docker")},
		{name: "shop of containers", rule: 9900013, server: outside, traffic: post(80, "/shop/containers/create", "{}", "Host: shop.example")},

		// 9900014: ClawHavoc.
		{name: "connection to ClawHavoc's server", rule: 9900014, server: "91.92.242.30", traffic: connection(8443, says("hi")), fires: []int{9900014}},
		{name: "query to ClawHavoc's server", rule: 9900014, server: "91.92.242.30", traffic: lookup("example.com"), fires: []int{9900014}},
		{name: "the address beside it", rule: 9900014, server: "91.92.242.31", traffic: connection(8443, says("hi"))},

		// 9900015: past the proxy.
		{name: "Anthropic from the agent", rule: 9900015, server: outside, traffic: handshake("api.anthropic.com"), fires: []int{9900015}},
		{name: "Azure from the agent", rule: 9900015, server: outside, traffic: handshake("contoso.openai.azure.com"), fires: []int{9900015}},
		{name: "Gemini from the agent, many times", rule: 9900015, server: outside, traffic: repeated(5, handshake("generativelanguage.googleapis.com")), fires: []int{9900015}},
		{name: "a subscription from the agent", rule: 9900015, server: outside, traffic: handshake("chatgpt.com"), fires: []int{9900015}},
		{name: "Copilot from the agent", rule: 9900015, server: outside, traffic: handshake("api.business.githubcopilot.com"), fires: []int{9900015}},
		{name: "a store beside a provider", rule: 9900015, server: outside, traffic: handshake("oss-cn-beijing.aliyuncs.com")},
		{name: "Anthropic from the proxy", rule: 9900015, client: llmProxy, server: outside, traffic: handshake("api.anthropic.com")},
		{name: "Anthropic's web site", rule: 9900015, server: outside, traffic: handshake("www.anthropic.com")},
		{name: "server name that goes on", rule: 9900015, server: outside, traffic: handshake("api.anthropic.com.example")},

		// 9900018: output of id over HTTP.
		{name: "id in a form", rule: 9900018, server: outside, traffic: post(80, "/x", idOutput, "Host: drop.example"), fires: []int{9900018}},
		{name: "id within the network", rule: 9900018, server: inside, traffic: post(8000, "/x", idOutput, "Host: logs")},
		{name: "form with uid and gid", rule: 9900018, server: outside, traffic: post(80, "/x", "uid=1000&gid=1000", "Host: shop.example")},

		// 9900021: the gateway from outside.
		{name: "a stranger at the gateway", rule: 9900021, client: "203.0.113.9", server: inside, traffic: post(18789, "/tools/invoke", "{}", "Host: claw.example"), fires: []int{9900021}},
		{name: "a stranger at the bridge", rule: 9900021, client: "203.0.113.10", server: inside, traffic: connection(18790, says("{}")), fires: []int{9900021}},
		{name: "a stranger who is refused", rule: 9900021, client: "203.0.113.11", server: inside, traffic: refused(18789, 1)},
		{name: "a stranger who only connects", rule: 9900021, client: "203.0.113.12", server: inside, traffic: connection(18789)},
		{name: "the owner by a tailnet", rule: 9900021, client: "100.101.102.103", server: inside, traffic: get(18789, "/", "Host: claw.tailnet.example")},
		{name: "a neighbour at the gateway", rule: 9900021, server: inside, traffic: get(18789, "/health", "Host: 10.99.0.2:18789")},
		{name: "a stranger at another port", rule: 9900021, client: "203.0.113.13", server: inside, traffic: get(443, "/", "Host: claw.example")},

		// 9900022: guessing the password.
		{name: "25 handshakes at once", rule: 9900022, server: inside, traffic: repeated(25, connection(18789, upgrade(), switching())), fires: []int{9900022}},
		{name: "a page with a few tabs", rule: 9900022, server: inside, traffic: repeated(10, connection(18789, upgrade(), switching()))},
		{name: "25 requests", rule: 9900022, server: inside, traffic: repeated(25, get(18789, "/health", "Host: localhost:18789"))},

		// 9900023 to 9900026: what changes who may do what.
		{name: "a token made anew", rule: 9900023, server: inside, traffic: call(`{"type":"req","id":"1","method":"device.token.rotate","params":{"deviceId":"d","role":"operator","scopes":["operator.admin"]}}`), fires: []int{9900023}},
		{name: "a question about that", rule: 9900023, server: inside, traffic: call(`{"type":"req","id":"1","method":"chat.send","params":{"message":"what does {\"method\":\"device.token.rotate\"} do?"}}`)},
		{name: "a list of devices", rule: 9900023, server: inside, traffic: call(`{"type":"req","id":"1","method":"device.pair.list","params":{}}`)},
		{name: "commands allowed by a patch", rule: 9900024, server: inside, traffic: call(`{"type":"req","id":"1","method":"config.patch","params":{"raw":"{\"tools\":{\"exec\":{\"security\":\"full\",\"ask\":\"off\"}}}","baseHash":"x"}}`), fires: []int{9900024, 9900026}},
		{name: "commands allowed by a path", rule: 9900024, server: inside, traffic: call(`{"method": "config.set", "params": {"path": "tools.exec.ask", "value": "off"}}`), fires: []int{9900024, 9900026}},
		{name: "another part of the configuration", rule: 9900024, server: inside, traffic: call(`{"type":"req","id":"1","method":"config.patch","params":{"raw":"{\"ui\":{\"seamColor\":\"red\"},\"tools\":{\"exec\":{\"security\":\"allowlist\"}}}"}}`), fires: []int{9900026}},
		{name: "the configuration read", rule: 9900026, server: inside, traffic: call(`{"type":"req","id":"1","method":"config.get","params":{}}`)},
		{name: "the configuration replaced", rule: 9900026, server: inside, traffic: call(`{"type":"req","id":"1","method":"config.apply","params":{"raw":"{}"}}`), fires: []int{9900026}},
		{name: "approvals set", rule: 9900025, server: inside, traffic: call(`{"type":"req","id":"1","method":"exec.approvals.set","params":{"file":{"version":1,"agents":{"main":{"allowlist":[{"pattern":"*"}]}}}}}`), fires: []int{9900025}},
		{name: "approvals of a node set", rule: 9900025, server: inside, traffic: call(`{"type":"req","id":"1","method":"exec.approvals.node.set","params":{}}`), fires: []int{9900025}},
		{name: "approvals read", rule: 9900025, server: inside, traffic: call(`{"type":"req","id":"1","method":"exec.approvals.get","params":{}}`)},
	}
}
