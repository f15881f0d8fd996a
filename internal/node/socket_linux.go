package node

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unansweredMax is how long sent bytes may stay unacknowledged by the peer's
// kernel before the connection counts as broken: a cut link ends even where
// nobody resets it.
const unansweredMax = 3 * time.Second

func tune(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second,
		Interval: time.Second, Count: 3})
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT,
			int(unansweredMax/time.Millisecond))
	})
}
