// Package topology is what RocketMQ's clients have declared, as one node knows it from
// the catalog, and how to change it: topics with the queues that each broker group
// holds of them, and how each group keeps its queues.
//
//	document rocket/group/NAME         type GroupDoc; none for a node's own group
//	document rocket/topic/NAME         type TopicDoc
//	document rocket/numbers            the next free queue number (wire.PhysicalOf)
//	stream   rocket/TOPIC/GROUP/QUEUE  one message queue
package topology
