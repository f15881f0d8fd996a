package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// elsewhere is where node 1 is when the tests have no network of their own.
const elsewhere = "127.77.31.1"

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
	if code, entered := enter(); entered {
		os.Exit(code)
	}
	os.Exit(run(m))
}

// run starts the cluster, runs the tests and stops the cluster.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "trine-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	stop, err := startCluster(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	return m.Run()
}

func startCluster(dir string) (stop func(), err error) {
	program := filepath.Join(dir, "trine")
	build := exec.Command("go", "build", "-o", program, "../../cmd/trine")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build trine: %w\n%s", err, out)
	}
	at := netip.MustParseAddr(base())
	for range 3 {
		hosts = append(hosts, at.String())
		at = at.Next()
	}
	data := filepath.Join(dir, "data")
	log, err := os.Create(filepath.Join(dir, "dev.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "dev", "-n", "3", "--data", data, "--address", hosts[0])
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { // ends with the process; stop waits for it
		defer close(ended)
		cmd.Wait()
		log.Close()
	}()
	stop = func() {
		cmd.Process.Signal(syscall.SIGINT)
		<-ended
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		said, err := os.ReadFile(log.Name())
		if err == nil && bytes.Contains(said, []byte("3 nodes serve after")) {
			return stop, nil
		}
		select {
		case <-ended:
			return nil, fmt.Errorf("trine dev ended: %s", said)
		default:
		}
		if time.Now().After(end) {
			stop()
			return nil, fmt.Errorf("trine dev does not serve: %s", said)
		}
	}
}

// addresses are the nodes' with a port, those from the nth on first.
func addresses(port string, first int) string {
	var s []string
	for i := range hosts {
		s = append(s, hosts[(first+i)%len(hosts)]+":"+port)
	}
	return strings.Join(s, ",")
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
