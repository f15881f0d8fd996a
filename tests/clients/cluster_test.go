package clients

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hosts are the addresses of the three nodes, of these tests' own.
var hosts []string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run starts the cluster, runs the tests and stops it.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "trine-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	stop, err := start(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	return m.Run()
}

// start builds trine and runs three nodes; stop ends them and waits for that.
func start(dir string) (stop func(), err error) {
	trine := filepath.Join(dir, "trine")
	if out, err := exec.Command("go", "build", "-o", trine, "../../cmd/trine").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build trine: %w\n%s", err, out)
	}
	at := netip.MustParseAddr("127.0.60.1")
	for range 3 {
		hosts = append(hosts, at.String())
		at = at.Next()
	}
	log, err := os.Create(filepath.Join(dir, "dev.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(trine, "dev", "-n", "3", "--address", hosts[0], "--data", filepath.Join(dir, "data"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { // ends with the process; stop waits for it
		defer close(ended)
		_ = cmd.Wait()
		log.Close()
	}()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-ended
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		said, _ := os.ReadFile(log.Name())
		if bytes.Contains(said, []byte("3 nodes serve after")) {
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

// program runs another's client and gives what it printed.
func program(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, said.String(), out.String())
	}
	return out.String()
}

// lines are n bodies, no two alike.
func lines(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("line %d %s", i, strings.Repeat("x", i*37%500)))
	}
	return all
}

// same says what is missing, too much or altered, in whatever order.
func same(t *testing.T, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if len(got) != len(want) {
		t.Fatalf("%d messages read, not %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("read %.60q where %.60q was written", got[i], want[i])
		}
	}
}
