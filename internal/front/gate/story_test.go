package gate

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"trine/internal/core"
)

// TestStories replays testdata: what documents say, and what is decided by them.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var b *book
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			arg := func(key string) string {
				for _, a := range d.CmdArgs {
					if a.Key == key {
						return strings.Join(a.Vals, ",")
					}
				}
				return ""
			}
			switch d.Cmd {
			case "installed":
				b = newBook()
				b.install(&account{Tags: []string{AdministratorTag}})
				b.near, b.from = []string{guestName}, Loopback
				return ""
			case "document":
				doc := core.Document{Key: arg("key"), Value: []byte(strings.TrimSpace(d.Input))}
				if d.Input == "" {
					doc.Value = nil
				}
				if err := b.read(doc); err != nil {
					return err.Error() + "\n"
				}
				return "ok\n"
			case "permit":
				c, err := Permit(arg("user"), arg("tenant"),
					Permission{arg("configure"), arg("write"), arg("read")})
				if err != nil {
					return err.Error() + "\n"
				}
				if err := b.read(core.Document{Key: c.Key, Value: c.Value}); err != nil {
					return err.Error() + "\n"
				}
				return c.Key + "\n"
			case "enter":
				return fmt.Sprintln(b.snapshot().Enter(Principal{arg("user"), address(t, arg("from"))}, arg("tenant")))
			case "may":
				s := b.snapshot()
				var out strings.Builder
				for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
					f := strings.Fields(line)
					if len(f) != 6 {
						t.Fatalf("%q: user, address, operation, type, tenant, name", line)
					}
					for i := range f {
						f[i] = strings.Trim(f[i], "-")
					}
					x := s.Decide(Principal{f[0], address(t, f[1])}, Need{Resource{Type(f[3]), f[4], f[5]}, Op(f[2])})
					fmt.Fprintf(&out, "%-5v %s %s\n", x.Allowed, x.Why, x.Rule)
				}
				return out.String()
			}
			t.Fatalf("%s: no such command", d.Cmd)
			return ""
		})
	})
}

func address(t *testing.T, s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
