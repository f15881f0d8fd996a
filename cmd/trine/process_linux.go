package main

import "syscall"

// childAttributes puts a child into a group of its own, so that Ctrl-C reaches this
// process alone, and ends it should this process be killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// diskReserve is how much must stay free for a node to take messages.
const diskReserve = 96 << 20

// diskFree gives the bytes that are free where dir is; 0 where that is not known.
func diskFree(dir string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0
	}
	return int64(s.Bavail) * s.Bsize
}
