// Package kafka lets Kafka's clients and tools use the broker unchanged.
//
// A topic is one document and one stream a partition, made and removed by one Put:
//
//	kafka/topic/NAME        topic id, partitions, settings (topics.go)
//	kafka/NAME/PARTITION    the stream; its batches go from socket to disk to socket
//	                        as they are
//	kafka/producers         the next block of producer ids
//	kafka/cluster           the cluster's id
//
// The topic __consumer_offsets holds what groups committed and who their members
// are; the node that leads one of its partitions coordinates the groups whose
// names fall on it (package group decides, coordinator.go acts).
//
// A connection is fed bytes and appends bytes (Conn): requests are cut out of
// them, and answered in their order. Produce requests overlap; any other request
// begins when all before it were answered, as on a Kafka broker:
//
//	bytes ──▶ frame ──▶ waiting ──▶ started ──▶ done ──▶ bytes
//	                     (order)     │      ▲
//	                                 ▼      │ on the node's loop
//	                               front.Core
//
// Every request key has a file. Messages are franz-go's kmsg, except Produce and
// Fetch, whose codecs are written here so that records are neither copied nor
// looked at twice.
package kafka
