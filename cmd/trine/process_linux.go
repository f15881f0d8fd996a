package main

import "syscall"

// childAttributes puts a child into a group of its own, so that Ctrl-C reaches this
// process alone, and ends it should this process be killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
