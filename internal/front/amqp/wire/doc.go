// Package wire reads and writes AMQP 0-9-1 as RabbitMQ speaks it. It is pure: it
// decides nothing, holds no state between calls, and trusts no length.
//
//	protocol header   "AMQP" 0 0 9 1
//	frame             type u8 | channel u16 | size u32 | payload | 0xCE
//	  method  (1)     class u16 | method u16 | fields
//	  header  (2)     class u16 | weight u16 | body size u64 | properties
//	  body    (3)     a part of the body
//	  beat    (8)     nothing
//	properties        flags u16 (bit 0: more follow) | those values whose flag is set
//	short string      length u8 | bytes
//	long string       length u32 | bytes
//	table             length u32 | { short string name | type u8 | value } ...
//	bits              consecutive ones share an octet, the first in its lowest bit
//
// All integers are big-endian. A Table and Properties are kept as the bytes that
// arrived, checked once, so that what only passes through is never built anew.
// What is read aliases the bytes it was read from.
package wire
