//go:build !linux

package node

import (
	"net"
	"time"
)

func tune(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second,
			Interval: time.Second, Count: 3})
	}
}
