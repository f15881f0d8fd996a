// Package format has the bytes that a journal writes and how they are read back: frames,
// the log's files with their writes, and what notes and directories hold. It knows
// neither files nor streams at hand, and keeps nothing.
//
//	log file   head  write  write  ...
//	write      head  frame  frame  ...  trailer
//	frame      head  data: an entry's, or a note's in the codec's varints
//
// What is read is believed only after its CRC fits, and no length before the bytes
// are there. docs/FORMAT.md draws every byte.
package format
