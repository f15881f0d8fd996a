//go:build !linux

package nodes

import (
	"errors"
	"fmt"
	"os/exec"
)

func enter() (code int, entered bool) { return 0, false }

// Host is the address of node 1.
func Host() string { return elsewhere }

// Mount lays an empty disk of so many bytes over a directory.
func Mount(dir string, bytes int64) (unmount func() error, err error) {
	return nil, fmt.Errorf("mount: %w", errors.ErrUnsupported)
}

// OnlyOne takes all addresses of the loopback but 127.0.0.1 away, until back.
func OnlyOne() (back func() error, err error) {
	return nil, fmt.Errorf("change the loopback: %w", errors.ErrUnsupported)
}

func endWithUs(*exec.Cmd) {}
