package drill

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// shell is a process that only a SIGKILL ends, or one that does what script says.
func shell(t *testing.T, script string) *process {
	t.Helper()
	p := &process{program: "/bin/sh", args: []string{"-c", script},
		log: filepath.Join(t.TempDir(), "log")}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL, time.Second) })
	return p
}

func TestAProcessIsKilledWhenItDoesNotStop(t *testing.T) {
	p := shell(t, "trap '' TERM; echo up; while :; do sleep 0.05; done")
	awaitFile(t, p.log)
	p.end(syscall.SIGTERM, 100*time.Millisecond)
	if p.cmd != nil || p.crashed() {
		t.Fatal("it runs still, or its end counts as unasked")
	}
	if err := p.start(); err != nil {
		t.Fatalf("it cannot be started again: %v", err)
	}
	if p.start() == nil {
		t.Fatal("it can be started twice at once")
	}
}

func TestAProcessThatEndsByItselfCrashed(t *testing.T) {
	p := shell(t, "exit 0")
	<-p.ended
	if !p.crashed() {
		t.Fatal("an end that nobody asked for is no crash")
	}
	if p.crashed() {
		t.Fatal("one crash is told twice")
	}
}

// awaitFile waits until a process has said something.
func awaitFile(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(name); err == nil && len(b) > 0 {
			return
		}
	}
	t.Fatalf("%s stays empty", name)
}
