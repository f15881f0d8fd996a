package wire

import (
	"fmt"
	"unicode/utf8"
)

// scanner walks JSON without building anything. It takes what fastjson writes:
// values of any kind where strings are expected, and map keys without quotes.
type scanner struct {
	b     []byte
	at    int
	arena []byte // of strings that had escapes
}

const jsonDepthMax = 32

func (s *scanner) fail(what string) error {
	return fmt.Errorf("read JSON header: byte %d: %s", s.at, what)
}

func (s *scanner) space() {
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next skips space and takes c if it is what follows.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.at < len(s.b) && s.b[s.at] == c {
		s.at++
		return true
	}
	return false
}

// object calls fn at the value of every member; fn must take the value.
func (s *scanner) object(fn func(key []byte) error) error {
	if !s.next('{') {
		return s.fail("no object")
	}
	if s.next('}') {
		return nil
	}
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if !s.next(':') {
			return s.fail("no colon")
		}
		if err = fn(key); err != nil {
			return err
		}
		if s.next('}') {
			return nil
		}
		if !s.next(',') {
			return s.fail("no comma")
		}
	}
}

func (s *scanner) key() ([]byte, error) {
	s.space()
	if s.at < len(s.b) && s.b[s.at] == '"' {
		return s.str()
	}
	return s.word()
}

// word takes a number, true, false, null, or a key without quotes.
func (s *scanner) word() ([]byte, error) {
	s.space()
	from := s.at
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z',
			c == '-', c == '+', c == '.', c == '_', c == '$':
			s.at++
			continue
		}
		break
	}
	if s.at == from {
		return nil, s.fail("no value")
	}
	return s.b[from:s.at], nil
}

// str takes a string, which aliases the input where it has no escapes.
func (s *scanner) str() ([]byte, error) {
	s.at++ // the quote
	from := s.at
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case '"':
			s.at++
			return s.b[from : s.at-1], nil
		case '\\':
			return s.escaped(from)
		}
		s.at++
	}
	return nil, s.fail("a string has no end")
}

func (s *scanner) escaped(from int) ([]byte, error) {
	start := len(s.arena)
	s.arena = append(s.arena, s.b[from:s.at]...)
	for s.at < len(s.b) {
		c := s.b[s.at]
		s.at++
		switch c {
		case '"':
			return s.arena[start:len(s.arena):len(s.arena)], nil
		case '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			s.arena = append(s.arena, c)
		}
	}
	return nil, s.fail("a string has no end")
}

func (s *scanner) escape() error {
	if s.at >= len(s.b) {
		return s.fail("an escape has no end")
	}
	c := s.b[s.at]
	s.at++
	switch c {
	case 'n':
		c = '\n'
	case 't':
		c = '\t'
	case 'r':
		c = '\r'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'v':
		c = '\v'
	case 'u':
		return s.unicode()
	case 'x': // fastjson's own
		r, ok := s.hex(2)
		if !ok {
			return s.fail("an escape is no hexadecimal")
		}
		s.arena = utf8.AppendRune(s.arena, r)
		return nil
	}
	s.arena = append(s.arena, c) // a quote, a slash, or whatever was escaped needlessly
	return nil
}

func (s *scanner) unicode() error {
	r, ok := s.hex(4)
	if !ok {
		return s.fail("an escape is no hexadecimal")
	}
	if r >= 0xD800 && r < 0xDC00 && s.at+1 < len(s.b) && s.b[s.at] == '\\' && s.b[s.at+1] == 'u' {
		back := s.at
		s.at += 2
		if low, ok := s.hex(4); ok && low >= 0xDC00 && low < 0xE000 {
			r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
		} else {
			s.at = back
		}
	}
	s.arena = utf8.AppendRune(s.arena, r) // a lone surrogate becomes U+FFFD
	return nil
}

func (s *scanner) hex(digits int) (rune, bool) {
	if s.at+digits > len(s.b) {
		return 0, false
	}
	var r rune
	for _, c := range s.b[s.at : s.at+digits] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	s.at += digits
	return r, true
}

// scalar takes a string or word; nested values are passed over and give nil.
func (s *scanner) scalar() ([]byte, error) {
	s.space()
	if s.at >= len(s.b) {
		return nil, s.fail("no value")
	}
	switch s.b[s.at] {
	case '"':
		return s.str()
	case '{', '[':
		return nil, s.skip()
	}
	w, err := s.word()
	if string(w) == "null" {
		w = nil
	}
	return w, err
}

// skip passes over an object or array.
func (s *scanner) skip() error {
	depth := 0
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case '{', '[':
			if depth++; depth > jsonDepthMax {
				return s.fail("nested too deeply")
			}
		case '}', ']':
			if depth--; depth == 0 {
				s.at++
				return nil
			}
		case '"':
			if _, err := s.str(); err != nil {
				return err
			}
			continue
		}
		s.at++
	}
	return s.fail("a value has no end")
}

func (c *Command) parseJSON(h []byte) error {
	s := scanner{b: h, arena: c.unescaped}
	c.Language = 255
	err := s.object(func(key []byte) error {
		if string(key) == "extFields" {
			return c.parseFields(&s)
		}
		v, err := s.scalar()
		if err != nil {
			return err
		}
		var n int64
		ok := true
		switch string(key) {
		case "code":
			n, ok = ParseInt(v)
			c.Code = int(int32(n))
		case "version":
			n, ok = ParseInt(v)
			c.Version = int(int32(n))
		case "opaque":
			n, ok = ParseInt(v)
			c.Opaque = int32(n)
		case "flag":
			n, ok = ParseInt(v)
			c.Flag = int32(n)
		case "remark":
			c.Remark = v
		case "language":
			c.Language = language(v)
		}
		if !ok {
			return s.fail("no number")
		}
		return nil
	})
	c.unescaped = s.arena
	return err
}

func (c *Command) parseFields(s *scanner) error {
	s.space()
	if s.at < len(s.b) && s.b[s.at] == 'n' { // null
		_, err := s.word()
		return err
	}
	return s.object(func(key []byte) error {
		v, err := s.scalar()
		if err == nil && v != nil {
			c.Fields = append(c.Fields, Field{key, v})
		}
		return err
	})
}

// Languages are the names of header field "language", by their binary values.
var Languages = [...]string{"JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY",
	"OTHER", "HTTP", "GO", "PHP", "OMS", "RUST", "NODE_JS"}

func language(name []byte) uint8 {
	for i, l := range Languages {
		if string(name) == l {
			return uint8(i)
		}
	}
	return 255
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string.
func AppendString[S []byte | string](dst []byte, s S) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7F:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
