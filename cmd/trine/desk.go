package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// devState is the file by which other terminals find a running trine dev. It is
// readable by its owner alone: whoever knows the token may kill the nodes.
type devState struct {
	PID     int      `json:"pid"`
	Control string   `json:"control"` // host:port of the desk
	Token   string   `json:"token"`
	HTTP    []string `json:"http"` // of the nodes
}

const stateFile = "dev.json"

// desk takes the orders of other terminals: one line in, one line out.
type desk struct {
	d     *devCluster
	l     net.Listener
	token string
	file  string
	wait  sync.WaitGroup
}

func openDesk(d *devCluster) (*desk, error) {
	file := filepath.Join(d.data, stateFile)
	if s, err := readState(d.data); err == nil {
		if c, err := net.DialTimeout("tcp", s.Control, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("trine dev runs already on %s (process %d): stop it, "+
				"or use another --data",
				d.data, s.PID)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	k := &desk{d: d, l: l, token: rand.Text(), file: file}
	s := devState{PID: os.Getpid(), Control: l.Addr().String(), Token: k.token}
	for _, c := range d.configs {
		s.HTTP = append(s.HTTP, c.HTTP.Listen)
	}
	b, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o600)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	k.wait.Add(1)
	go k.accept() // close waits
	return k, nil
}

func (k *desk) close() {
	k.l.Close()
	k.wait.Wait()
	os.Remove(k.file)
}

func (k *desk) accept() {
	defer k.wait.Done()
	for {
		c, err := k.l.Accept()
		if err != nil {
			return
		}
		k.wait.Go(func() { k.serve(c) }) // ends with its deadline; close waits
	}
}

func (k *desk) serve(c net.Conn) {
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(&limited{c, 4096}).ReadString('\n')
	if err != nil {
		return
	}
	token, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	verb, arg, _ := strings.Cut(rest, " ")
	out, err := "", errors.New("wrong token")
	if token == k.token {
		out, err = k.order(verb, arg)
	}
	if err != nil {
		fmt.Fprintf(c, "error %v\n", err)
		return
	}
	fmt.Fprintf(c, "ok %s\n", out)
}

// limited reads at most n bytes.
type limited struct {
	c net.Conn
	n int
}

func (l *limited) Read(b []byte) (int, error) {
	if l.n <= 0 {
		return 0, errors.New("too long")
	}
	n, err := l.c.Read(b[:min(len(b), l.n)])
	l.n -= n
	return n, err
}

// order carries out one verb on one node and says what it did.
func (k *desk) order(verb, arg string) (string, error) {
	id, err := strconv.Atoi(arg)
	if err != nil || id < 1 || id > len(k.d.procs) {
		return "", fmt.Errorf("there is no node %q: they are 1 to %d", arg, len(k.d.procs))
	}
	p := k.d.procs[id-1]
	if verb == "start" {
		if err := p.start(); err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(context.Background(), readyMax)
		defer cancel()
		return fmt.Sprintf("node %d serves (process %d)", id, p.pid()), p.awaitReady(ctx)
	}
	pid := p.pid()
	if pid == 0 {
		return "", fmt.Errorf("node %d does not run: trine dev start %d", id, id)
	}
	switch verb {
	case "pid":
		return strconv.Itoa(pid), nil
	case "kill":
		return p.end(syscall.SIGKILL, "was killed")
	case "stop":
		if p.isPaused() {
			return "", fmt.Errorf("node %d is paused and cannot stop in order: trine dev resume %d first, "+
				"or trine dev kill %d", id, id, id)
		}
		return p.end(syscall.SIGTERM, "stopped in order")
	case "pause":
		if p.isPaused() {
			return "", fmt.Errorf("node %d is paused already: trine dev resume %d", id, id)
		}
		p.signal(syscall.SIGSTOP)
		return fmt.Sprintf("node %d is paused (process %d): trine dev resume %d lets it go on", id, pid,
			id), nil
	case "resume":
		if !p.isPaused() {
			return "", fmt.Errorf("node %d is not paused", id)
		}
		p.signal(syscall.SIGCONT)
		return fmt.Sprintf("node %d goes on (process %d)", id, pid), nil
	}
	return "", fmt.Errorf("unknown verb %q", verb)
}

func readState(data string) (devState, error) {
	var s devState
	b, err := os.ReadFile(filepath.Join(data, stateFile))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// control gives one order to the trine dev that runs on a directory.
func control(data, verb, arg string) (string, error) {
	s, err := readState(data)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no trine dev runs on %s: start one with `trine dev`, or name the --data "+
			"that the running one was given", data)
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", filepath.Join(data, stateFile), err)
	}
	c, err := net.DialTimeout("tcp", s.Control, 2*time.Second)
	if err != nil {
		return "", fmt.Errorf("the trine dev of %s is gone (it was process %d): start it again: %w", data,
			s.PID, err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(readyMax + 5*time.Second))
	if _, err := fmt.Fprintf(c, "%s %s %s\n", s.Token, verb, arg); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("trine dev does not answer: %w", err)
	}
	kind, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	if kind != "ok" {
		return "", errors.New(text)
	}
	return text, nil
}
