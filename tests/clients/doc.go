// Package clients lets the clients that others wrote read what each other wrote.
//
// A cluster of three nodes (trine dev -n 3) runs in a network of the tests' own. Each client
// writes n messages whose text follows from its name and their number; then each client of the
// same protocol reads what all of them wrote. What was read is printed, one message a line, and
// compared here, so that no client judges itself:
//
//	PROGRAM write ADDRESSES STREAM NAME N   prints nothing, ends with 0 once all are confirmed
//	PROGRAM read ADDRESSES GROUP N STREAM…  prints N lines: stream, partition, offset, key, text
//
// ADDRESSES are the three nodes' with commas between, another one first for each program.
package clients
