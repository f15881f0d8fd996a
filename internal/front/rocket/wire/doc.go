// Package wire is the RocketMQ remoting protocol as bytes. It holds no state of
// any connection and trusts no length.
//
// A frame, all integers big-endian:
//
//	int32 length    of what follows
//	uint8 form      of the header: 0 JSON, 1 binary
//	uint24 length   of the header
//	header
//	body            what remains
//
// A JSON header:
//
//	{"code":10,"language":"GO","version":317,"opaque":7,"flag":0,"remark":null,
//	 "extFields":{"topic":"t","queueId":"3"},"serializeTypeCurrentRPC":"JSON"}
//
// A binary header:
//
//	int16 code  uint8 language  int16 version  int32 opaque  int32 flag
//	int32 length, remark
//	int32 length of {int16 length, key, int32 length, value}*
//
// An answer bears its request's opaque, its form, and bit 0 of flag. Bit 1 of a
// request's flag says that it wants no answer.
//
// A message as consumers get it (type Message), and as brokers keep it:
//
//	int32 length of all  int32 magic  int32 CRC32 of body  int32 queue  int32 flag
//	int64 queue offset  int64 physical offset  int32 system flag
//	int64 born  host  int64 stored  host  int32 reconsumed  int64 prepared offset
//	int32 length, body  uint8 (magic v2: int16) length, topic
//	int16 length, properties
//
// where host is 4 or 16 bytes of address and an int32 port, and properties are
// key 0x01 value 0x02, repeated. A message in the body of a batch send:
//
//	int32 length of all  int32 0  int32 0  int32 flag  int32 length, body
//	int16 length, properties
package wire
