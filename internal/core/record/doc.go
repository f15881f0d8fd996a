// Package record knows the one form of messages on disk, between nodes and on
// Kafka's wire: Kafka's record batch, version 2. It is the only place that does.
//
// A batch is a header of 61 bytes and its records; integers are big-endian:
//
//	byte  0  base offset       int64   of the first record; the leader writes it
//	      8  length            int32   bytes that follow this field
//	     12  epoch             int32   of the leader; the leader writes it
//	     16  magic             int8    2
//	     17  crc               uint32  CRC32C of all from byte 21 on
//	     21  attributes        int16   bits 0-2 codec, 3 append time, 4 transactional,
//	                                   5 control, 6 delete horizon
//	     23  last delta        int32   offset of the last record, less the base
//	     27  first stamp       int64   ms; stamps of records are relative to it
//	     35  max stamp         int64   ms
//	     43  producer          int64   -1 none; below -1 a core.Session
//	     51  producer epoch    int16
//	     53  sequence          int32   of the first record
//	     57  count             int32   of records
//	     61  records                   compressed as a whole where a codec is set
//
// A record; v is a zigzag varint, of 64 bits for the stamp and 32 elsewhere:
//
//	v length | int8 attributes | v stamp delta | v offset delta
//	v key length (-1 null) | key | v value length (-1 null) | value
//	v headers | { v key length | key | v value length (-1 null) | value } ...
//
// A batch that compaction has thinned keeps its base and last delta: its count is
// then lower than last delta + 1, even 0.
//
// What a queue machine reads of a record stands in its first header, whose key is
// QueueHeader: a version byte 1, then unsigned varints {priority, expires, not
// before}. It is there only if one of them is not zero.
package record
