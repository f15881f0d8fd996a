//go:build !linux

package main

import "syscall"

// childAttributes puts a child into a group of its own, so that Ctrl-C reaches this
// process alone.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// diskReserve is how much must stay free for a node to take messages.
const diskReserve = 96 << 20

// diskFree is not known here.
func diskFree(string) int64 { return 0 }
