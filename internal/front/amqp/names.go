package amqp

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"

	"trine/internal/front/amqp/wire"
)

// Where this front end's streams and documents stand.
const (
	documentPrefix = "amqp/"
	exchangePrefix = "amqp/x/"
	bindingPrefix  = "amqp/b/"
	vhostPrefix    = "amqp/v/"
	policyPrefix   = "amqp/p/"
	streamPrefix   = "amqp/q/"
)

// escape makes a name a part of a path; unescape takes it back.
var (
	escaper   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescaper = strings.NewReplacer("%2F", "/", "%25", "%")
)

func escape(s string) string   { return escaper.Replace(s) }
func unescape(s string) string { return unescaper.Replace(s) }

func streamName(vhost, queue string) string {
	return streamPrefix + escape(vhost) + "/" + queue
}

// cutName takes prefix and the virtual host off a key.
func cutName(key, prefix string) (vhost, name string, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return "", "", false
	}
	vhost, name, ok = strings.Cut(rest, "/")
	return unescape(vhost), name, ok
}

func exchangeKey(vhost, name string) string {
	return exchangePrefix + escape(vhost) + "/" + name
}

func policyKey(vhost, name string) string { return policyPrefix + escape(vhost) + "/" + name }

// bindingKey names a binding by all that makes it one.
func bindingKey(vhost, source string, toQueue bool, dest, key string, args wire.Table) string {
	kind := "e"
	if toQueue {
		kind = "q"
	}
	b := bindingPrefix + escape(vhost) + "/" + escape(source) + "/" + kind + "/" + escape(dest) +
		"/" + escape(key)
	if len(args) > 0 {
		h := fnv.New128a()
		_, _ = h.Write(args)
		b += fmt.Sprintf("/%x", h.Sum(nil))
	}
	return b
}

// generated draws a name that nobody else has.
func generated(r io.Reader, prefix string) string {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		panic(fmt.Sprintf("draw a name: %v", err)) // crypto/rand does not fail
	}
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
