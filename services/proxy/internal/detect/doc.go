// Package detect holds the detections that are built into the proxy. They look
// at what a client sends, at what a model answers, and above all at the tool
// calls in between, which is where an answer becomes an act.
//
//	request ─▶ segments ─▶ seen before? ─▶ its findings, if they are enforced
//	              │             └ no ─▶ values, secrets, injection, hidden Unicode ─▶ findings
//	              ├─ tools ─▶ drift
//	              └─ rate
//	answer  ─▶ text, with a carry-over ─▶ values
//	        └▶ tool call ─▶ decoded strings ─▶ values, secrets bound for the network, hidden Unicode
//	                           ├─▶ made plain (quotes, escapes, base64) ─▶ dangerous commands
//	                           └─▶ repetition
//
// One pass of an automaton over a text finds keywords; an expression runs only
// around the keywords of its own. So ordinary text costs one table look-up a
// byte, whatever the number of rules.
//
// The detections are a net, not a wall: who may write any text can encode it in
// a way that none of them knows. What they are good for is the careless and the
// copied attack, which is most of them, and a record of it.
//
// All state is in memory, bounded, and gone with the process: after a restart a
// tool's next definition is the one that later ones are compared with, and
// findings in an old history are told once more.
package detect
