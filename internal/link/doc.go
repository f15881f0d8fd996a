// Package link gives the nodes' words to each other their bytes.
//
// A connection between two nodes begins with one Hello from each side. After
// that it is a sequence of frames; numbers of fixed size are big-endian:
//
//	+--------+---------+------+---------+----------------------------+
//	| length | version | kind | CRC32C  | payload                    |
//	| 4      | 1       | 1    | 4       | length-6                   |
//	+--------+---------+------+---------+----------------------------+
//	length   bytes that follow it
//	kind     1 whole: one message; 2 part: more of the message follows in the
//	         next frame; 3 last: the end of a message that came in parts;
//	         4 go: no payload, the dialler has accepted the Hello it got
//	CRC32C   of version, kind and payload
//
// A frame is at most 16 KiB long on the control lane and 256 KiB on the bulk
// lane, so that nothing small waits behind something large for long. A message
// is at most MessageMax long.
//
// A message is one byte that names its type, then its fields in the order of
// their declaration in package core: integers as varints (zigzag where they may
// be negative), random names as 8 bytes, byte fields with their length plus one
// (0: nil), lists with their count. What cannot travel (whom to tell of an
// outcome, and the caller's token) stays behind.
//
// Decoded byte fields alias the bytes that were decoded: whoever decodes gives
// each call bytes that nobody writes to again. Strings are copied.
//
// Package link has no socket and no clock; the simulator calls it as the node
// does. A length is compared with what is there before anything is allocated by it.
package link
