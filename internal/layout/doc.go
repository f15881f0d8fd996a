// Package layout holds the test that keeps the source in its layout: who may import
// whom, what the pure packages may not do, which words stay above the seam, and how
// long a file, a function and a package may be. It parses the files in process: a
// test that asks the go command is answered from its cache past a breach.
//
// allowed.txt names what is longer than it may be, with its present size and the
// reason. Its entries can only shrink: one that no longer fits exactly fails, and
// says what to write.
package layout
