// Package rows drills Trine as a real RabbitMQ cluster was drilled once, so that one table
// shows both: three queues (classic, mirrored, quorum) led by node 1, and for each of them a
// publisher and a consumer on every node, which go on elsewhere when theirs is gone.
//
//	begin ── Before ── fault ── Away ── repair ── After ── publishers end ── drained ── Row
//
//	kill       SIGKILL of node 1               stop       SIGTERM to node 1
//	pause      SIGSTOP of node 1, SIGCONT      cable      node 1 reaches nobody, no client reaches it
//	partition  node 1 reaches no other node, its clients reach it
//
// A publisher has one message in flight, mandatory and to be confirmed. A consumer holds
// each message for a moment before it settles it, so that a fault finds messages in hand.
// What was confirmed, not returned, and never delivered is lost.
package rows
