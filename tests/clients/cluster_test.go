package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trine/tests/nodes"
)

// installed is a path below what tests/install made.
func installed(path ...string) string {
	dir := os.Getenv("TRINE_TEST_CACHE")
	if dir == "" {
		dir = "/tmp/trine-test-cache"
	}
	return filepath.Join(append([]string{dir}, path...)...)
}

// hosts are the three nodes' addresses.
var hosts []string

func TestMain(m *testing.M) {
	os.Exit(nodes.Main(func() int {
		dir, err := os.MkdirTemp("", "trine-clients-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		c, err := nodes.Dev(dir, 3)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer c.Stop()
		hosts = c.Hosts
		return m.Run()
	}))
}

// addresses are the nodes' with a port, those from the nth on first.
func addresses(port string, first int) string {
	return (&nodes.Cluster{Hosts: hosts}).Addresses(port, first)
}

// outside runs another's program and gives what it printed.
func outside(stdin string, program ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	home, err := os.MkdirTemp("", "trine-home-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(home)
	cmd.Env = append(os.Environ(), "HOME="+home)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(program, " "), err, tail(said.String()))
	}
	return out.String(), nil
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

// program runs another's program, which must end well, and gives what it printed.
func program(t *testing.T, stdin string, command ...string) string {
	t.Helper()
	out, err := outside(stdin, command...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pythonCommand and javaCommand run a program of ours with others' clients.
func pythonCommand(program string) []string {
	return []string{installed("venv", "bin", "python"), filepath.Join("python", program)}
}

func javaCommand(program string) []string {
	return []string{"java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-Drocketmq.client.logUseSlf4j=true",
		"-cp", installed("java/lib", "*"), filepath.Join("java", program)}
}
