package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"trine/internal/core"
	"trine/internal/link"
)

// prey is one trine serve, alone, that strangers speak to.
type prey struct {
	at   map[string]string // its listeners' addresses, by flag
	cmd  *exec.Cmd
	mu   sync.Mutex
	said bytes.Buffer // its log
}

// Write takes what it says.
func (p *prey) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *prey) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func startPrey(t *testing.T) *prey {
	t.Helper()
	return startOn(t, "127.0.62.1")
}

// startOn is startPrey on another address, told more.
func startOn(t *testing.T, host string, more ...string) *prey {
	t.Helper()
	p := &prey{at: map[string]string{}}
	args := []string{"serve", "--node", "5", "--data", filepath.Join(t.TempDir(), "data")}
	for flag, port := range map[string]string{"listen": "7400", "amqp": "5672", "kafka": "9092",
		"nameserver": "9876", "broker": "10911", "http": "15672"} {
		p.at[flag] = net.JoinHostPort(host, port)
		args = append(args, "--"+flag, p.at[flag])
	}
	args = append(args, more...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "trine") // by which TestMain runs the command
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(name, args...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = childAttributes()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("it does not stop in order: %v", err)
		}
		if log := p.log(); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
			t.Errorf("it panicked:\n%s", log)
		}
		if t.Failed() {
			t.Logf("log:\n%s", p.log())
		}
	})
	for end := time.Now().Add(scriptMax); ; time.Sleep(20 * time.Millisecond) {
		r, err := http.Get("http://" + p.at["http"] + "/readyz")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return p
			}
		}
		if time.Now().After(end) {
			t.Fatal("it does not serve")
		}
	}
}

// attack is bytes that no client of a listener sends, and what is said to them: in
// the answer, or in the log.
type attack struct {
	flag, name string
	bytes      []byte
	answer     string // regular expression
	log        string // regular expression
}

func number(n uint32, rest ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, n), rest...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte(binary.BigEndian.AppendUint64(make([]byte, 24), seed))).Read(b)
	return b
}

// kafkaRequest is key, version, correlation id 7, client id "x", and a body.
func kafkaRequest(key, version uint16, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, key)
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, 0, 0, 0, 7, 0, 1, 'x')
	b = append(b, body...)
	return join(number(uint32(len(b))), b)
}

func remoting(header string, body ...byte) []byte {
	return join(number(uint32(4+len(header)+len(body))), number(uint32(len(header))), []byte(header), body)
}

func attacks() []attack {
	const notUnderstood = `msg="connection ended.*(read|frame|header|request|unknown|protocol)`
	tlsHello := join([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, noise(1, 507))
	get := []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	hello := link.AppendHello(nil, link.Hello{Oldest: 200, Newest: 210,
		Peer: core.Peer{Node: 9, Disk: 9, Incarnation: 9}, Purpose: link.ForControl})
	bent := bytes.Clone(hello)
	bent[20] ^= 1
	amqp := []byte("AMQP\x00\x00\x09\x01")
	all := []attack{
		{"kafka", "negative length", number(1<<32 - 1), "", "a length of -1"},
		{"kafka", "length of 2 GiB", number(1<<31-1, noise(2, 100)...), "", "a length of 2147483647"},
		{"kafka", "length of 3", number(3, 1, 2, 3), "", "a length of 3"},
		{"kafka", "truncated", kafkaRequest(3, 1, 0, 0)[:9], "^$", ""},
		{"kafka", "unknown key", kafkaRequest(999, 0), "", "key 999, version 0"},
		{"kafka", "unknown version of Metadata", kafkaRequest(3, 99), "", "Metadata, version 99"},
		{"kafka", "unknown version of ApiVersions", kafkaRequest(18, 99), `^....\x00\x00\x00\x07\x00\x23`, ""},
		{"kafka", "an array of 2^31-1 topics", kafkaRequest(3, 1, 0x7f, 0xff, 0xff, 0xff), "", "Metadata, version 1"},
		{"kafka", "a group's name of 32767 bytes that are not there", kafkaRequest(10, 0, 0x7f, 0xff), "",
			"FindCoordinator, version 0"},
		{"kafka", "records of 2^31-1 bytes", kafkaRequest(0, 3, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 0, 0, 0, 1,
			0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2), "", "Produce, version 3"},
		{"kafka", "an HTTP request", get, "", "connection ended"},
		{"kafka", "a TLS hello", tlsHello, "", "connection ended"},
		{"amqp", "another protocol", get, `^AMQP\x00\x00\x09\x01$`, ""},
		{"amqp", "another version", []byte("AMQP\x00\x01\x00\x00"), `^AMQP\x00\x00\x09\x01$`, ""},
		{"amqp", "a TLS hello", tlsHello, `^AMQP\x00\x00\x09\x01$`, ""},
		{"amqp", "frame of 4 GiB", join(amqp, []byte{1, 0, 0}, number(1<<32-1, noise(3, 100)...)), "", "reply=501"},
		{"amqp", "unknown frame type", join(amqp, []byte{77, 0, 0}, number(1, 0, 0xce)), "", "reply=50"},
		{"amqp", "no end of frame", join(amqp, []byte{1, 0, 0}, number(4, 0, 10, 0, 11, 0)), "", "reply=501"},
		{"amqp", "unknown method", join(amqp, []byte{1, 0, 0}, number(4, 0, 99, 0, 99, 0xce)), "", "reply=540"},
		{"amqp", "a table that is longer than its frame",
			join(amqp, []byte{1, 0, 0}, number(8, 0, 10, 0, 11, 0xff, 0xff, 0xff, 0xff, 0xce)), "", "reply=50"},
		{"amqp", "noise", join(amqp, noise(4, 4096)), "", "reply=50"},
		{"amqp", "truncated", amqp[:5], "^$", ""},
		{"listen", "noise", noise(5, 4096), "", `not a node's link port`},
		{"listen", "an HTTP request", get, "", `not a node's link port`},
		{"listen", "hello of 64 KiB", []byte("TRIN\xff\xff\x01\x01"), "", `a length of 65535`},
		{"listen", "unknown version", hello, "^TRIN", `versions 200 to 210`},
		{"listen", "wrong checksum", bent, "", `checksum does not match`},
		{"listen", "truncated", hello[:30], "^$", ""},
		{"http", "noise", join(noise(6, 512), []byte("\r\n\r\n")), "^HTTP/1.1 400", ""},
		{"http", "unknown version", []byte("GET / HTTP/9.9\r\n\r\n"), "^HTTP/1.. (400|505)", ""},
		{"http", "a header without end", join([]byte("GET / HTTP/1.1\r\nHost: x\r\nA: "),
			bytes.Repeat([]byte("a"), 2<<20)), "^HTTP/1.1 431", ""},
		{"http", "body of a terabyte", []byte("PUT /api/policies/%2F/p HTTP/1.1\r\nHost: x\r\n" +
			"Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Length: 1099511627776\r\n\r\n{"), "^HTTP/1.1 400", ""},
		{"http", "no JSON", []byte("PUT /api/policies/%2F/p HTTP/1.1\r\nHost: x\r\n" +
			"Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nContent-Length: 4\r\n\r\n\x00\x01{["), "^HTTP/1.1 400", ""},
	}
	for _, flag := range []string{"nameserver", "broker"} {
		all = append(all, []attack{
			{flag, "negative length", number(1<<32 - 1), "", notUnderstood},
			{flag, "length of 2 GiB", number(1<<31-1, noise(7, 100)...), "", notUnderstood},
			{flag, "header longer than its frame", join(number(8), number(1<<20), []byte("abcd")), "", notUnderstood},
			{flag, "unknown form of header", join(number(8), number(7<<24|4), []byte("{}{}")), "", notUnderstood},
			{flag, "no JSON", remoting("this is no JSON"), "", notUnderstood},
			{flag, "deep JSON", remoting(`{"code":` + strings.Repeat("[", 20000)), "", notUnderstood},
			{flag, "binary header with a length of 2 GiB", join(number(4+21), number(1<<24|21),
				[]byte{0, 10, 0, 1, 1}, number(1), number(0), number(1<<31-1), number(1<<31-1)), "", notUnderstood},
			{flag, "unknown code", remoting(`{"code":9999,"flag":0,"opaque":5,"language":"GO","version":1}`),
				`"code":3\b`, ""},
			{flag, "send without fields", remoting(`{"code":310,"flag":0,"opaque":5,"language":"GO","version":1}`),
				`"code":1\b`, ""},
			{flag, "an HTTP request", get, "", notUnderstood},
			{flag, "truncated", remoting(`{"code":105}`)[:10], "^$", ""},
		}...)
	}
	return all
}

// throw sends bytes and then nothing more, and gives all that is answered.
func throw(t *testing.T, at string, b []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(scriptMax))
	c.Write(b) // what it does not want to read it may reset
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection stays open")
	}
	return got
}

// TestStrangersAreToldWhatIsWrong: oversize, truncated, of unknown versions, garbage,
// on every listener: the answer or the log says what is wrong, nothing panics, and
// clients are served on.
func TestStrangersAreToldWhatIsWrong(t *testing.T) {
	p := startPrey(t)
	for _, a := range attacks() {
		t.Run(a.flag+"/"+a.name, func(t *testing.T) {
			before := len(p.log())
			got := throw(t, p.at[a.flag], a.bytes)
			if a.answer != "" && !regexp.MustCompile("(?s)"+a.answer).Match(got) {
				t.Errorf("the answer is %q, not like %q", got, a.answer)
			}
			if a.log == "" {
				return
			}
			re := regexp.MustCompile(a.log)
			for end := time.Now().Add(5 * time.Second); !re.MatchString(p.log()[before:]); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("the log does not say %q:\n%s", a.log, p.log()[before:])
				}
			}
		})
	}
	for _, flag := range []string{"listen", "amqp", "kafka", "nameserver", "broker", "http"} {
		for seed := range uint64(20) { // whatever is said to these, it lives on
			throw(t, p.at[flag], noise(100+seed, 1<<(seed%16)))
		}
	}
	p.serves(t)
}

// TestMemoryDoesNotFollowAClaimedLength: whoever announces much and sends little
// costs little, however many do it.
func TestMemoryDoesNotFollowAClaimedLength(t *testing.T) {
	p := startPrey(t)
	p.serves(t)
	before := p.peakBytes(t)
	claims := map[string][]byte{
		"kafka":      number(100<<20, 0, 0, 0, 3, 0, 0, 0, 7),
		"amqp":       join([]byte("AMQP\x00\x00\x09\x01"), []byte{1, 0, 0}, number(130000, 0, 10, 0, 11)),
		"nameserver": join(number(16<<20), number(1<<20)),
		"broker":     join(number(16<<20), number(1<<20)),
		"http": []byte("PUT /api/policies/%2F/p HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n" +
			"Content-Length: 100000000\r\n\r\n{"),
		"listen": []byte("TRIN\x04\x00"),
	}
	const conns = 100 // they claim 23 GiB
	for flag, b := range claims {
		for range conns {
			c, err := net.Dial("tcp", p.at[flag])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.serves(t) // and has read what came before
	if grew := p.peakBytes(t) - before; grew > 128<<20 {
		t.Errorf("memory grew by %d MiB", grew>>20)
	}
}

// TestALinkThatSpeaksGarbageEnds: who passes for a node until its link stands is not
// listened to beyond the first frame that is none.
func TestALinkThatSpeaksGarbageEnds(t *testing.T) {
	p := startPrey(t)
	h := link.Hello{Oldest: link.VersionMin, Newest: link.Version, Calls: 5, Link: 7,
		Address: "127.0.62.1:1", Peer: core.Peer{Node: 1, Disk: 1, Incarnation: 1}}
	call := func(purpose link.Purpose) (net.Conn, link.Hello) {
		t.Helper()
		c, err := net.Dial("tcp", p.at["listen"])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(scriptMax))
		h.Purpose = purpose
		c.Write(link.AppendHello(nil, h)) // an error shows on reading
		b := make([]byte, link.HelloMax)
		n, err := io.ReadAtLeast(c, b, link.HelloMin)
		if err != nil {
			t.Fatal(err)
		}
		back, err := link.DecodeHello(b[:n])
		if err != nil || back.Refusal != link.Accepted {
			t.Fatalf("it answers %+v, %v", back, err)
		}
		return c, back
	}
	_, back := call(link.ForProbe)
	h.Cluster = back.Cluster
	for i, garbage := range [][]byte{noise(8, 1000), number(1<<32-1, noise(9, 100)...), number(0),
		number(60, append([]byte{200, 1}, noise(10, 58)...)...)} {
		h.Link++
		h.Peer.Incarnation++
		var lanes [2]net.Conn
		for j, purpose := range []link.Purpose{link.ForControl, link.ForBulk} {
			lanes[j], _ = call(purpose)
			lanes[j].Write(link.AppendGo(nil))
		}
		lanes[i%2].Write(garbage)
		for _, c := range lanes {
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("garbage %d: the link stays up", i)
			}
		}
		h.Peer.Disk++ // nobody is taken for a copy of the one before
	}
	down := regexp.MustCompile(`msg="link down".*read frame`)
	for end := time.Now().Add(5 * time.Second); len(down.FindAllString(p.log(), -1)) != 4; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the log does not say why four links ended")
		}
	}
	p.serves(t)
}

// peakBytes is the most memory that the process had so far.
func (p *prey) peakBytes(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("SKIPPED: how much memory a process has is read from /proc: %v", err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no peak in %s", b)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// serves has each protocol's client do something.
func (p *prey) serves(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptMax)
	defer cancel()
	k, err := kgo.NewClient(kgo.SeedBrokers(p.at["kafka"]), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Errorf("kafka: %v", err)
	}
	a, err := amqp091.Dial("amqp://guest:guest@" + p.at["amqp"])
	if err != nil {
		t.Fatalf("amqp: %v", err)
	}
	defer a.Close()
	ch, err := a.Channel()
	if err == nil {
		_, err = ch.QueueDeclare("q", true, false, false, false, nil)
	}
	if err != nil {
		t.Errorf("amqp: %v", err)
	}
	for _, flag := range []string{"nameserver", "broker"} {
		got := throw(t, p.at[flag], remoting(`{"code":206,"flag":0,"opaque":5,"language":"GO","version":1}`))
		if !bytes.Contains(got, []byte("topicList")) {
			t.Errorf("%s answers %q", flag, got)
		}
	}
	r, err := http.Get("http://" + p.at["http"] + "/readyz")
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("http: %v %v", r, err)
	}
	r.Body.Close()
}
