// Package drill breaks a running cluster under load and counts what its clients lost.
//
//	                       ┌──────────── again and again ────────────┐
//	clients of all modes ─ lead ─ quiet ─ fault ─ repair ─ in sync ─ tail ── flush ─ read back ─ verdict
//	begin to load          │      noise   │ ──── gap ────────────────│              of all messages
//
// A series begins three real processes whose connections to each other lead through
// proxies, one for each ordered pair, and loads them with every mode of its fleet at
// the same time: one node leads what all of them write to, so that one injection
// measures all. Producers number their messages, each from 1, and write down what they
// were told (Ledger). At the end of the series everything is read back, and Check
// compares: what was acknowledged and cannot be read is lost; what has an unknown
// outcome may be there or not; what was refused may not. Nothing in a verdict rests on
// the broker's own word.
//
// An injection counts only if enough was acknowledged before it, and its series only if
// the cluster was healthy again after each. What each mode promises under each fault
// stands in modes.go, what gaps are wanted in goals.go, and the whole table in fleet.go.
package drill
