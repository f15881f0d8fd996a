// Package core is the vocabulary of the broker: the words that every other
// package uses, as types. It decides nothing and does nothing.
//
//	record batch  the one form of messages on disk, between nodes and, for
//	              clients whose form it is, on the wire
//	entry         what is replicated: one record batch, or one ledger entry
//	index         counts entries; copies replicate, commit and truncate by it
//	offset        counts the records a client may read; derived, never replicated
//	stream        a replicated sequence of entries
//	copy          one node's share of a stream, named by the disk that holds it
//	epoch         counts a stream's leaders; work of an older epoch is fenced
//	generation    counts a stream's kinds of replication; entries carry it
//	catalog       what the cluster agrees on; itself a stream (CatalogStream)
//	document      bytes in the catalog that only their front end can read
//	session       a node's own numbering of what it enters for its clients
//	lend          a message in a consumer's hands
//
// Package core imports fmt alone. Nothing in it, or below it, knows a protocol.
package core
