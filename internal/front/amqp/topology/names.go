package topology

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

// Where this front end's streams and documents stand.
const (
	DocumentPrefix = "amqp/"
	exchangePrefix = "amqp/x/"
	bindingPrefix  = "amqp/b/"
	vhostPrefix    = "amqp/v/"
	limitPrefix    = "amqp/l/"
	policyPrefix   = "amqp/p/"
	operatorPrefix = "amqp/o/"
	settingPrefix  = "amqp/r/" // a virtual host's parameters
	globalPrefix   = "amqp/g/" // the cluster's
	CountPrefix    = "amqp/n/"
	StreamPrefix   = "amqp/q/"
)

// escape makes a name a part of a path; unescape takes it back.
var (
	escaper   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescaper = strings.NewReplacer("%2F", "/", "%25", "%")
)

func escape(s string) string   { return escaper.Replace(s) }
func unescape(s string) string { return unescaper.Replace(s) }

// StreamName is the name of a queue's stream.
func StreamName(vhost, queue string) string {
	return StreamPrefix + escape(vhost) + "/" + queue
}

// CutName takes prefix and the virtual host off a key.
func CutName(key, prefix string) (vhost, name string, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return "", "", false
	}
	vhost, name, ok = strings.Cut(rest, "/")
	return unescape(vhost), name, ok
}

// ExchangeKey is where an exchange's document stands.
func ExchangeKey(vhost, name string) string {
	return exchangePrefix + escape(vhost) + "/" + name
}

// CountKey is where a node says how many connections it has.
func CountKey(n core.NodeID) string { return fmt.Sprintf("%s%d", CountPrefix, n) }

// PolicyKey is where a policy's document stands.
func PolicyKey(vhost, name string) string { return policyPrefix + escape(vhost) + "/" + name }

// OperatorKey is where an operator's policy stands.
func OperatorKey(vhost, name string) string { return operatorPrefix + escape(vhost) + "/" + name }

// ParameterKey is where a parameter of a virtual host stands.
func ParameterKey(vhost, component, name string) string {
	return settingPrefix + escape(vhost) + "/" + escape(component) + "/" + name
}

// GlobalKey is where a parameter of the whole cluster stands.
func GlobalKey(name string) string { return globalPrefix + name }

// BindingKey names a binding by all that makes it one.
func BindingKey(vhost, source string, toQueue bool, dest, key string, args wire.Table) string {
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

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
