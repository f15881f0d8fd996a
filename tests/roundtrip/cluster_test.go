package roundtrip

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hosts are the three nodes' addresses; the ports are the standard ones.
var hosts = []string{"127.0.60.1", "127.0.60.2", "127.0.60.3"}

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the binary, starts the cluster, runs the tests, and ends the cluster.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "trine-roundtrip-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "trine")
	if out, err := exec.Command("go", "build", "-o", bin, "trine/cmd/trine").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build trine: %v\n%s", err, out)
		return 1
	}
	var log bytes.Buffer
	dev := exec.Command(bin, "dev", "-n", "3", "--address", hosts[0], "--data", filepath.Join(dir, "data"))
	dev.Stdout, dev.Stderr = &log, &log
	dev.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := dev.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		_ = dev.Process.Signal(os.Interrupt)
		_ = dev.Wait()
	}()
	if !up(30 * time.Second) {
		fmt.Fprintf(os.Stderr, "the cluster is not up after 30 s:\n%s", log.String())
		return 1
	}
	return m.Run()
}

// up says whether every listener of every node answers in time.
func up(within time.Duration) bool {
	end := time.Now().Add(within)
	for _, h := range hosts {
		for _, port := range []string{"5672", "9092", "9876", "10911"} {
			for !answers(net.JoinHostPort(h, port)) {
				if time.Now().After(end) {
					return false
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
	return true
}

func answers(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// program runs another language's program and gives its output.
func program(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	done := time.AfterFunc(90*time.Second, func() { _ = cmd.Process.Kill() })
	defer done.Stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// lines gives n different lines.
func lines(n int) []string {
	ls := make([]string, n)
	for i := range ls {
		ls[i] = fmt.Sprintf("message %05d", i)
	}
	return ls
}
