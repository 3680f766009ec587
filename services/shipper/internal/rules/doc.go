// Package rules applies local rules to events before they are published: what an
// operator knows about a machine, and no sensor can.
//
//	normalize ─▶ Engine.Apply ─▶ encode ─▶ publish
//	              │  no rule names the event's kind: one map lookup
//	              └─ otherwise: the event as JSON, decoded once, each rule's
//	                 condition evaluated on it
//
// Every rule sees the event as the sensor's normalizer left it, so the order of
// rules matters only where two of them change the same thing: then the later one
// wins. A rule that matches leaves its name in the tags, as "rule:<name>".
//
// Dropping is narrow on purpose, because what is dropped is gone. A rule says up
// to which severity it may drop; the higher one of the event's own severity and
// of what the rules made of it counts, so lowering does not open the way to
// dropping, and raising closes it. A critical event, and the records in which the
// shipper accounts for bytes (kinds "gap" and "unparsed"), cannot be dropped.
package rules
