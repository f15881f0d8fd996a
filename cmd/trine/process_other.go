//go:build !linux

package main

import "syscall"

// childAttributes puts a child into a group of its own, so that Ctrl-C reaches this
// process alone.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
