// Package drill breaks a running cluster under load and counts what its clients lost.
//
//	load ──── fault ──── repair ──── end of load ── flush ── read back ── verdict
//	     1/4 of the time     all nodes run again            every node healthy?
//
// A run begins three real processes whose connections to each other lead through
// proxies, one for each ordered pair. Producers number their messages, each from 1,
// and write down what they were told (Ledger). Everything is read back, and Check
// compares: what was acknowledged and cannot be read is lost; what has an unknown
// outcome may be there or not. Nothing in a verdict rests on the broker's own word.
//
// A run counts only if enough was acknowledged before the fault and the cluster was
// healthy at its end. What each mode promises under each fault stands in modes.go.
package drill
