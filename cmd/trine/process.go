package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// spawner starts processes from one thread that lives as long as this process: the
// kernel ends the children when the thread that made them ends.
type spawner struct{ jobs chan func() }

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	go func() { // ends with close
		runtime.LockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

func (s *spawner) start(c *exec.Cmd) error {
	done := make(chan error)
	s.jobs <- func() { done <- c.Start() }
	return <-done
}

func (s *spawner) close() { close(s.jobs) }

// process is one node of trine dev.
type process struct {
	id      int
	program string
	args    []string
	log     string
	ready   string // URL that says whether it serves
	spawner *spawner

	mu      sync.Mutex
	cmd     *exec.Cmd     // nil: it does not run
	ended   chan struct{} // closed at its end
	paused  bool
	asked   bool // its end was asked for
	outcome string
	told    func(text string)
}

// onEnd names who is told that the process ended.
func (p *process) onEnd(told func(text string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = told
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("node %d runs already (process %d)", p.id, p.cmd.Process.Pid)
	}
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	c := exec.Command(p.program, p.args...)
	c.Stdout, c.Stderr = f, f
	c.SysProcAttr = childAttributes()
	if err := p.spawner.start(c); err != nil {
		return fmt.Errorf("start node %d: %w", p.id, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.paused, p.asked = c, ended, false, false
	go p.wait(c, ended) // ends with the process; awaitEnd waits for it
	return nil
}

func (p *process) wait(c *exec.Cmd, ended chan struct{}) {
	err := c.Wait()
	p.mu.Lock()
	p.cmd, p.outcome = nil, "in order"
	if err != nil {
		p.outcome = err.Error()
	}
	told := p.told
	if p.asked {
		told = nil
	}
	p.mu.Unlock()
	close(ended)
	if told != nil {
		told(fmt.Sprintf("node %d ended: %s (its log: %s)", p.id, p.outcome, p.log))
	}
}

// pid gives 0 where it does not run.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// signal is false where the process does not run.
func (p *process) signal(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	switch s {
	case syscall.SIGSTOP:
		p.paused = true
	case syscall.SIGCONT:
		p.paused = false
	default:
		p.asked = true
	}
	return p.cmd.Process.Signal(s) == nil
}

// end ends the process by a signal and says so.
func (p *process) end(s syscall.Signal, how string) (string, error) {
	pid := p.pid()
	if p.signal(s) && !p.awaitEnd(handOverMax+drainMax+2*time.Second) {
		return "", fmt.Errorf("node %d has not ended yet", p.id)
	}
	return fmt.Sprintf("node %d %s (process %d): trine dev start %d brings it back", p.id, how, pid,
		p.id), nil
}

func (p *process) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}

// awaitEnd is false where it did not end in time.
func (p *process) awaitEnd(max time.Duration) bool {
	p.mu.Lock()
	c, ended := p.cmd, p.ended
	p.mu.Unlock()
	if c == nil {
		return true
	}
	select {
	case <-ended:
		return true
	case <-time.After(max):
		return false
	}
}

// awaitReady waits until the node serves; that it ended is an error with what it
// said last.
func (p *process) awaitReady(ctx context.Context) error {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	client := http.Client{Timeout: 2 * time.Second}
	for {
		if r, err := client.Get(p.ready); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ended:
			return fmt.Errorf("node %d ended: %s: %s", p.id, p.outcome, lastLine(p.log))
		case <-ctx.Done():
			return fmt.Errorf("node %d does not serve yet: see %s", p.id, p.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastLine gives what a process said last.
func lastLine(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}
