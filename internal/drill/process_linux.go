package drill

import "syscall"

// childAttributes keep signals of the terminal from a node, and end it with the drill.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
