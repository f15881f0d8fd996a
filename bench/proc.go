package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: 1/100 s on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// statOf gives a process's fields of /proc/PID/stat from the third on; nil: it is gone.
func statOf(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	s := string(b)
	return strings.Fields(s[strings.LastIndex(s, ")")+1:])
}

// gone says that a process has ended, also if nobody has waited for it.
func gone(pid int) bool {
	f := statOf(pid)
	return f == nil || f[0] == "Z"
}

// cpu is the user and system time of processes so far.
func cpu(pids []int) (sum time.Duration) {
	for _, p := range pids {
		if f := statOf(p); f != nil {
			u, _ := strconv.Atoi(f[11])
			s, _ := strconv.Atoi(f[12])
			sum += time.Duration(u+s) * tick
		}
	}
	return sum
}

// busy is the time that all processors have worked so far, for whomever, without what the
// host took.
func busy() time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	sum := 0
	for i, f := range strings.Fields(line) {
		if n, err := strconv.Atoi(f); err == nil && i != 4 && i != 5 && i < 8 { // idle, waiting for disks
			sum += n
		}
	}
	return time.Duration(sum) * tick
}

// switches counts the context switches of processes so far, of all their threads.
func switches(pids []int) (sum int64) {
	for _, p := range pids {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*/status", p))
		for _, t := range threads {
			b, _ := os.ReadFile(t)
			for l := range strings.SplitSeq(string(b), "\n") {
				if k, v, ok := strings.Cut(l, ":"); ok && strings.HasSuffix(k, "ctxt_switches") {
					n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
					sum += n
				}
			}
		}
	}
	return sum
}

// memory is the resident memory of processes in MiB: now and at most.
func memory(pids []int) (now, peak float64) {
	for _, p := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		for _, l := range strings.Split(string(b), "\n") {
			f := strings.Fields(l)
			if len(f) < 2 {
				continue
			}
			kib, _ := strconv.ParseFloat(f[1], 64)
			switch f[0] {
			case "VmRSS:":
				now += kib / 1024
			case "VmHWM:":
				peak += kib / 1024
			}
		}
	}
	return now, peak
}

// descendants gives processes with all that they began.
func descendants(roots []int) []int {
	parents := map[int]int{}
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, n := range names {
		p, _ := strconv.Atoi(filepath.Base(n))
		if f := statOf(p); f != nil {
			parents[p], _ = strconv.Atoi(f[1])
		}
	}
	all := append([]int(nil), roots...)
	for i := 0; i < len(all); i++ {
		for p, parent := range parents {
			if parent == all[i] {
				all = append(all, p)
			}
		}
	}
	return all
}

// machine says what the figures were measured on.
func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	info, _ := os.ReadFile("/proc/cpuinfo")
	model, n := "", 0
	for _, l := range strings.Split(string(info), "\n") {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == "model name" {
			model, n = strings.TrimSpace(v), n+1
		}
	}
	return fmt.Sprintf("%d x %s, Linux %s", n, model, strings.TrimSpace(string(kernel)))
}

// loadAverage of the last minute, brokers and clients included.
func loadAverage() float64 {
	b, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(b))
	if len(f) == 0 {
		return 0
	}
	v, _ := strconv.ParseFloat(f[0], 64)
	return v
}

// processors is how many there are.
var processors = float64(runtime.NumCPU())
