package main

import (
	"net/http"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trine": func() { os.Exit(run(os.Args[1:])) }})
}

// TestScripts runs the command as a user does. The scripts stand in testdata; each
// has a loopback network of its own.
//
//	ready HOST:PORT        waits until the node there serves
//	cp-r FROM TO           copies a directory with all that is in it
//	until RE COMMAND...    runs the command until its output matches
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"ready": ready,
		"until": until,
		"cp-r":  copyAll,
	}})
}

const scriptMax = 30 * time.Second

func ready(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(scriptMax); ; time.Sleep(20 * time.Millisecond) {
		if r, err := http.Get("http://" + args[0] + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			ts.Fatalf("the node at %s does not serve", args[0])
		}
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	re := regexp.MustCompile("(?m)" + args[0])
	out := ""
	for end := time.Now().Add(scriptMax); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		out = ts.ReadFile("stdout") + ts.ReadFile("stderr")
		if err == nil && re.MatchString(out) {
			return
		}
	}
	ts.Fatalf("%q never matched; last:\n%s", args[0], out)
}

func copyAll(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}
