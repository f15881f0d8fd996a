package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheReadmesFirstMessagesArrive runs what README tells people to paste, as it stands there.
func TestTheReadmesFirstMessagesArrive(t *testing.T) {
	if hosts[0] != "127.0.0.1" {
		t.Skip("SKIPPED: README speaks of 127.0.0.1, and its ports are not the tests' own here")
	}
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "A first message by each protocol")
	text, _, more := strings.Cut(text, "Three nodes on this machine")
	if !found || !more {
		t.Fatal("README has no first messages")
	}
	blocks := strings.Split(strings.TrimSpace(text[strings.Index(text, "\n\n"):]), "\n\n")
	wants := []string{"hello\n", "b'hello'\n", "received hello\n"}
	if len(blocks) != len(wants) {
		t.Fatalf("%d blocks to paste, not %d", len(blocks), len(wants))
	}
	for i, block := range blocks {
		block = strings.ReplaceAll("\n"+strings.TrimSpace(block), "\n    ", "\n")
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", block)
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "PATH="+installed("venv", "bin")+string(filepath.ListSeparator)+
			os.Getenv("PATH"))
		out, err := cmd.Output()
		if err != nil || !strings.HasSuffix(string(out), wants[i]) {
			t.Errorf("it prints %q, %v:\n%s", out, err, block)
		}
	}
}
