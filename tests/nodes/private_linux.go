package nodes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside marks the process that runs in namespaces of its own; its value says in which.
const inside = "TRINE_TESTS_INSIDE"

// enter runs this program again in a network, and if possible among mounts, of its own, and
// gives its exit code; false where that is not permitted, and in that program itself.
func enter() (code int, entered bool) {
	if os.Getenv(inside) != "" {
		if err := settle(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return 0, false
	}
	runtime.LockOSThread() // Pdeathsig is the thread's
	defer runtime.UnlockOSThread()
	var err error
	for _, flags := range []uintptr{syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		syscall.CLONE_NEWNET} {
		cmd := exec.Command(os.Args[0], os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", inside, flags))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
		if uid := os.Getuid(); uid != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		if err = cmd.Start(); err != nil {
			continue
		}
		if err := cmd.Wait(); err != nil {
			return max(1, cmd.ProcessState.ExitCode()), true
		}
		return 0, true
	}
	fmt.Fprintf(os.Stderr, "no network of the tests' own (%v): on %s instead\n", err, elsewhere)
	return 0, false
}

func settle() error {
	if own(syscall.CLONE_NEWNS) {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
	}
	return loopbackUp()
}

// own says whether this process runs in a namespace of its own.
func own(flag uintptr) bool {
	flags, _ := strconv.ParseUint(os.Getenv(inside), 10, 64)
	return uintptr(flags)&flag != 0
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// Host is the address of node 1.
func Host() string {
	if own(syscall.CLONE_NEWNET) {
		return "127.0.0.1"
	}
	return elsewhere
}

// Mount lays an empty disk of so many bytes over a directory, for this process and those it
// starts. An error that is errors.ErrUnsupported: the machine does not permit it.
func Mount(dir string, bytes int64) (unmount func() error, err error) {
	if !own(syscall.CLONE_NEWNS) {
		return nil, fmt.Errorf("mount: %w", errors.ErrUnsupported)
	}
	err = unix.Mount("trine-tests", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes))
	if err != nil {
		return nil, fmt.Errorf("mount a disk on %q: %w: %w", dir, errors.ErrUnsupported, err)
	}
	return func() error { return unix.Unmount(dir, unix.MNT_DETACH) }, nil
}

// OnlyOne takes all addresses of the loopback but 127.0.0.1 away, until back.
func OnlyOne() (back func() error, err error) {
	if !own(syscall.CLONE_NEWNET) {
		return nil, fmt.Errorf("change the loopback: %w", errors.ErrUnsupported)
	}
	ip := func(args string) error {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %w: %s", args, errors.ErrUnsupported, err, out)
		}
		return nil
	}
	if err := ip("address add 127.0.0.1/32 dev lo"); err != nil {
		return nil, err
	}
	back = func() error {
		return errors.Join(ip("address add 127.0.0.1/8 dev lo"), ip("address delete 127.0.0.1/32 dev lo"))
	}
	return back, ip("address delete 127.0.0.1/8 dev lo")
}

// endWithUs lets the process that the calling goroutine starts end when this one does. The
// goroutine keeps its thread, whose end would end the process too.
func endWithUs(cmd *exec.Cmd) {
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
