package drill

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// spawner starts processes from one thread that lives as long as this process: the
// kernel ends the children when the thread that made them ends.
var spawner = sync.OnceValue(func() chan func() {
	jobs := make(chan func())
	go func() { // ends with the process
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// process is one node's process, started again as often as a run needs.
type process struct {
	program string
	args    []string
	log     string

	mu    sync.Mutex
	cmd   *exec.Cmd // nil: it does not run
	ended chan struct{}
	asked bool // its end was asked for
	fell  bool // it ended without being asked
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("process %d runs already", p.cmd.Process.Pid)
	}
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	c := exec.Command(p.program, p.args...)
	c.Stdout, c.Stderr, c.SysProcAttr = f, f, childAttributes()
	failed := make(chan error)
	spawner() <- func() { failed <- c.Start() }
	if err := <-failed; err != nil {
		return fmt.Errorf("start %s: %w", p.program, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.asked = c, ended, false
	go func() { // ends with the process; end waits for it
		_ = c.Wait() // how it ended does not matter, only whether it was asked to
		p.mu.Lock()
		p.cmd = nil
		p.fell = p.fell || !p.asked
		p.mu.Unlock()
		close(ended)
	}()
	return nil
}

// signal does nothing where the process does not run.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	if s == syscall.SIGKILL || s == syscall.SIGTERM {
		p.asked = true
	}
	_ = p.cmd.Process.Signal(s) // it may just have ended
}

// end sends a signal and waits; after max it kills.
func (p *process) end(s syscall.Signal, max time.Duration) {
	p.mu.Lock()
	running, ended := p.cmd != nil, p.ended
	p.mu.Unlock()
	if !running {
		return
	}
	p.signal(s)
	select {
	case <-ended:
	case <-time.After(max):
		p.signal(syscall.SIGKILL)
		<-ended
	}
}

// gone says that it does not run.
func (p *process) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd == nil
}

// crashed says whether it ended without being asked since the last call.
func (p *process) crashed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.fell
	p.fell = false
	return was
}
