package clients

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// message is one that a client read.
type message struct {
	stream    string
	partition string
	offset    int64 // -1 where the protocol has none
	key       string
	text      string
}

// text is what the client with that name writes as its ith message.
func text(name string, i int) string {
	return fmt.Sprintf("%s %d %s", name, i, strings.Repeat("x", i*37%500))
}

// key is the key of the ith message.
func key(i int) string { return fmt.Sprintf("k%d", i%17) }

// parse reads what a program printed.
func parse(out string) (all []message, err error) {
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("line %q has %d fields, not 5", line, len(f))
		}
		offset, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		all = append(all, message{f[0], f[1], offset, f[3], f[4]})
	}
	return all, nil
}

// check says whether all is n messages of every stream, each once, whole, and in order:
// within a partition in the order of writing, offsets without a gap from 0.
func check(all []message, n int, names map[string]string) error {
	seen := map[string]int{}
	last := map[string]int{}
	next := map[string]int64{}
	once := map[string]bool{}
	for _, m := range all {
		name, ok := names[m.stream]
		if !ok {
			return fmt.Errorf("a message of %q, which was not read: %+v", m.stream, m)
		}
		f := strings.Split(m.text, " ")
		i := -1
		if len(f) == 3 {
			i, _ = strconv.Atoi(f[1])
		}
		if i < 0 || i >= n || m.text != text(name, i) {
			return fmt.Errorf("stream %s: not as it was written: %.80q", m.stream, m.text)
		}
		if m.key != key(i) {
			return fmt.Errorf("stream %s message %d: key %q, not %q", m.stream, i, m.key, key(i))
		}
		if id := m.stream + " " + f[1]; once[id] {
			return fmt.Errorf("stream %s message %d: read twice", m.stream, i)
		} else {
			once[id] = true
		}
		p := m.stream + " " + m.partition
		if before, ok := last[p]; ok && before >= i {
			return fmt.Errorf("stream %s partition %s: %d after %d", m.stream, m.partition, i, before)
		}
		if m.offset >= 0 && m.offset != next[p] {
			return fmt.Errorf("stream %s partition %s message %d: offset %d, not %d", m.stream,
				m.partition, i, m.offset, next[p])
		}
		last[p], next[p] = i, m.offset+1
		seen[m.stream]++
	}
	for stream := range names {
		if seen[stream] != n {
			return fmt.Errorf("stream %s: %d messages read, not %d", stream, seen[stream], n)
		}
	}
	return nil
}

// client is one that writes and reads through three nodes.
type client struct {
	name  string
	write func(addresses, stream, name string, n int) error
	read  func(addresses, group string, n int, streams []string) ([]message, error)
}

// other makes a client of another's program.
func other(name string, command []string) client {
	return client{name,
		func(addresses, stream, by string, n int) error {
			_, err := outside("", append(command[:len(command):len(command)], "write", addresses,
				stream, by, strconv.Itoa(n))...)
			return err
		},
		func(addresses, group string, n int, streams []string) ([]message, error) {
			out, err := outside("", append(append(command[:len(command):len(command)], "read",
				addresses, group, strconv.Itoa(n)), streams...)...)
			if err != nil {
				return nil, err
			}
			return parse(out)
		}}
}

// everyoneReadsEveryone lets each client write a stream of its own and then each read all.
func everyoneReadsEveryone(t *testing.T, port, prefix string, n int, all []client) {
	names := map[string]string{}
	var streams []string
	for i, c := range all {
		stream := prefix + c.name
		names[stream] = c.name
		streams = append(streams, stream)
		t.Run("write/"+c.name, func(t *testing.T) {
			if err := c.write(addresses(port, i), stream, c.name, n); err != nil {
				t.Fatal(err)
			}
		})
	}
	for i, c := range all {
		t.Run("read/"+c.name, func(t *testing.T) {
			got, err := c.read(addresses(port, i+1), prefix+"by-"+c.name, n*len(all), streams)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(got, n, names); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	names := map[string]string{"s": "c"}
	whole := func() (all []message) {
		for i := range 5 {
			all = append(all, message{"s", "0", int64(i), key(i), text("c", i)})
		}
		return all
	}
	if err := check(whole(), 5, names); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		wrong func(all []message) []message
	}{
		{"read, not 5", func(all []message) []message { return all[:4] }},
		{"read twice", func(all []message) []message { return append(all, all[4]) }},
		{"after", func(all []message) []message {
			all[1], all[2] = all[2], all[1]
			all[1].offset, all[2].offset = 1, 2
			return all
		}},
		{"offset", func(all []message) []message { all[3].offset++; return all }},
		{"key", func(all []message) []message { all[3].key = ""; return all }},
		{"not as it was", func(all []message) []message { all[3].text += "x"; return all }},
		{"was not read", func(all []message) []message { all[3].stream = "t"; return all }},
	} {
		if err := check(c.wrong(whole()), 5, names); err == nil ||
			!strings.Contains(err.Error(), c.what) {
			t.Errorf("%v, not an error with %q", err, c.what)
		}
	}
}

// lines gives n different lines.
func lines(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("message %05d", i))
	}
	return all
}

// same fails unless got is want, in whatever order.
func same(t *testing.T, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Fatalf("%d messages read where %d were written, or others", len(got), len(want))
	}
}
