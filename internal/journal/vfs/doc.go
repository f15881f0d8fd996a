// Package vfs is the seam between a journal and its disk, with the file systems that
// stand behind it:
//
//	OSFS        the machine's files
//	VolatileFS  those, but what was not flushed is lost with the process
//	MemFS       files in memory, of a disk that can lose its power
//	FaultFS     any of these, with faults as told
//
// Everything of the disk that a run may depend on comes through the seam, the free
// space and the kernel's boot id among it, so that a simulated disk is a whole one.
package vfs
