package drill

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// broker builds this repository's program.
func broker(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "trine")
	c := exec.Command("go", "build", "-o", program, "trine/cmd/trine")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// alone waits until no other drill runs on this machine.
func alone(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "trine-drill.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// TestShortSelectionKeepsItsPromises breaks real processes: each protocol, both kinds
// of replication, and what the power cut leaves.
func TestShortSelectionKeepsItsPromises(t *testing.T) {
	program := broker(t)
	alone(t)
	for _, c := range []struct{ modes, faults string }{
		{"kafka-insync,kafka-majority,amqp-quorum,amqp-mirrored,rocket-sync,rocket-dledger", "kill,term,kill-all"},
		{"kafka-majority,amqp-quorum,rocket-dledger", "power"},
		{"kafka-insync,amqp-classic", "alter"},
		{"kafka-min3", "kill-other"},
	} {
		rs, err := Run(t.Context(), Options{Program: program, Modes: strings.Split(c.modes, ","),
			Faults: strings.Split(c.faults, ","), Rate: 1000, Runs: 1, Keep: t.TempDir(),
			Address: fmt.Sprintf("127.%d.%d.0", 100+os.Getpid()/250%100, 1+os.Getpid()%250),
			Said:    func(line string) { t.Log(line) }})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range Rows(rs) {
			if !Kept([]Row{r}) {
				t.Errorf("%s %s: %s %v", r.Mode, r.Fault, r.word(), r.Why)
			}
		}
	}
}

// TestACountedLossIsSeenThroughRealProcesses holds the followers back and kills the
// leader: with acks=1 the tail is lost, and the drill must see it.
func TestACountedLossIsSeenThroughRealProcesses(t *testing.T) {
	program := broker(t)
	alone(t)
	rs, err := Run(t.Context(), Options{Program: program, Modes: []string{"kafka-acks1"}, Faults: []string{"kill"},
		Rate: 1000, Runs: 1, Hold: 200 * time.Millisecond, Keep: t.TempDir(),
		Address: fmt.Sprintf("127.%d.%d.100", 100+os.Getpid()/250%100, 1+os.Getpid()%250)})
	if err != nil {
		t.Fatal(err)
	}
	if r := rs[0]; !r.Valid || r.Lost == 0 {
		t.Fatalf("%d lost of %d, valid %v %s", r.Lost, r.Acked, r.Valid, r.Why)
	}
}
