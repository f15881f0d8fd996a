// Package rocket lets RocketMQ's clients use the broker: each node answers as a
// NameServer and as a broker, on every one of its ports alike, over the seam.
//
// Broker names and addresses. A broker name (here: a group) is a stable label for
// a set of queues and for the way they are kept; its address is that of a living
// node, which forwards where it does not lead. Requests of most clients do not
// say which broker name they mean, so each node listens on a port for each group
// that it may have to stand in for: package nameserver says which.
//
// What stands where, beside topics, their queues and groups (package topology):
//
//	document rocket/member/GROUP/CLIENT/NODE   a consumer connected to that node
//	document rocket/lock/GROUP         who consumes which queue in order
//	document rocket/kv/NAMESPACE/KEY   the NameServers' key-value table
//	stream   rocket/offsets            consumers' offsets, compacted by queue
//
// Locks are taken in this order: a connection's (front.Wire), then Front.mu. No
// call into the seam is made, and no connection's lock is taken, under Front.mu. The
// locks of topology and nameserver come last: nobody is called under them.
package rocket
