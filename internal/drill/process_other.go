//go:build !linux

package drill

import "syscall"

// childAttributes keep signals of the terminal from a node.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
