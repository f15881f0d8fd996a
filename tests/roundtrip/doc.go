// Package roundtrip holds tests with clients that others wrote, unmodified, against a
// cluster of three real processes on loopback addresses of its own: each writes
// through one node and reads through another, whoever leads.
package roundtrip
