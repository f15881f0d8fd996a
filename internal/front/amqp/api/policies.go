package api

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"trine/internal/front/amqp/topology"
)

// policyRoutes are the paths of this file.
var policyRoutes = []route{
	{"GET", "policies", managers, false, (*server).policies},
	{"GET", "policies/*", managers, true, (*server).policies},
	{"GET", "policies/*/*", managers, true, (*server).policy},
	{"PUT", "policies/*/*", policymakers, true, (*server).putPolicy},
	{"DELETE", "policies/*/*", policymakers, true, (*server).clearPolicy},
	{"GET", "operator-policies", managers, false, (*server).policies},
	{"GET", "operator-policies/*", managers, true, (*server).policies},
	{"GET", "operator-policies/*/*", managers, true, (*server).policy},
	{"PUT", "operator-policies/*/*", administrators, true, (*server).putPolicy},
	{"DELETE", "operator-policies/*/*", administrators, true, (*server).clearPolicy},
}

// ofOperator says whether a path is about operators' policies.
func (c *call) ofOperator() bool { return c.path[0] == "operator-policies" }

func policyObject(p *topology.Policy) object {
	to := p.ApplyTo
	if to == "" {
		to = "all"
	}
	return object{"vhost": p.VHost, "name": p.Name, "pattern": p.Pattern, "apply-to": to,
		"priority": p.Priority, "definition": p.Definition}
}

func (s *server) listPolicies(c *call, host string) []object {
	list := s.f.View().Policies(host)
	if c.ofOperator() {
		list = s.f.View().OperatorPolicies(host)
	}
	all := []object{}
	for i := range list {
		if host != "" || s.sees(c, list[i].VHost) {
			all = append(all, policyObject(&list[i]))
		}
	}
	sortBy(all, "vhost", "name")
	return all
}

func (s *server) policies(c *call) (any, error) {
	l, err := c.paged()
	if err != nil {
		return nil, err
	}
	return l.reply(s.listPolicies(c, c.arg(1)), nil, nil)
}

func (s *server) policy(c *call) (any, error) {
	return one(with(s.listPolicies(c, c.arg(1)), "name", c.arg(2)))
}

// putPolicy sets a policy: 201 where it is new, 204 where it was there.
func (s *server) putPolicy(c *call) (any, error) {
	b, err := c.body("pattern", "definition")
	if err != nil {
		return nil, err
	}
	if why := checkPolicy(b, c.ofOperator()); why != "" {
		why = "Validation failed\n\n" + why + "\n"
		if !c.ofOperator() { // RabbitMQ escapes these, and not the operators'
			why = strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(why)
		}
		return nil, bad(why)
	}
	p := topology.Policy{VHost: c.arg(1), Name: c.arg(2), Pattern: text(b, "pattern"), ApplyTo: "all"}
	if to := text(b, "apply-to"); to != "" {
		p.ApplyTo = to
	}
	p.Priority, _ = number(b, "priority")
	raw, err := json.Marshal(b["definition"])
	if err == nil {
		err = json.Unmarshal(raw, &p.Definition)
	}
	if err != nil {
		return nil, bad(err.Error())
	}
	there := len(with(s.listPolicies(c, c.arg(1)), "name", c.arg(2))) > 0
	set := topology.SetPolicy
	if c.ofOperator() {
		set = topology.SetOperatorPolicy
	}
	if err := s.do(c, func(told func(error)) { set(s.f.Core(), p, told) }); err != nil {
		return nil, err
	}
	if there {
		return nil, done
	}
	return nil, created
}

func (s *server) clearPolicy(c *call) (any, error) {
	if _, err := s.policy(c); err != nil {
		return nil, err
	}
	clear := topology.ClearPolicy
	if c.ofOperator() {
		clear = topology.ClearOperatorPolicy
	}
	if err := s.do(c, func(told func(error)) { clear(s.f.Core(), c.arg(1), c.arg(2), told) }); err != nil {
		return nil, err
	}
	return nil, done
}

// setting is a key that a policy may have: how RabbitMQ calls its value where the
// value is not as it must be, whether operators may set it too, and what it must be.
type setting struct {
	called   string
	operator bool
	ok       func(v any) bool
}

func isText(v any) bool { _, ok := v.(string); return ok }

func atLeast(min int64) func(any) bool {
	return func(v any) bool {
		n, ok := v.(json.Number)
		if !ok {
			return false
		}
		i, err := n.Int64()
		return err == nil && i >= min
	}
}

func among(names ...string) func(any) bool {
	return func(v any) bool { s, ok := v.(string); return ok && slices.Contains(names, s) }
}

var age = regexp.MustCompile(`^[0-9]+[YMDhms]$`)

// settings are all keys. Those of mirrored queues are RabbitMQ 3.13's; trine-kind and
// trine-copies are Trine's own.
var settings = map[string]setting{
	"alternate-exchange":            {"alternate exchange name", false, isText},
	"consumer-timeout":              {"consumer timeout", false, atLeast(0)},
	"dead-letter-exchange":          {"dead letter exchange name", false, isText},
	"dead-letter-routing-key":       {"dead letter routing key", false, isText},
	"dead-letter-strategy":          {"dead letter strategy", false, among("at-most-once", "at-least-once")},
	"message-ttl":                   {"message TTL", true, atLeast(0)},
	"expires":                       {"queue expiry", true, atLeast(1)},
	"max-length":                    {"maximum length", true, atLeast(0)},
	"max-length-bytes":              {"maximum length in bytes", true, atLeast(0)},
	"max-in-memory-length":          {"maximum memory in bytes", true, atLeast(0)},
	"max-in-memory-bytes":           {"maximum memory in bytes", true, atLeast(0)},
	"queue-mode":                    {"queue-mode value", false, among("default", "lazy")},
	"queue-version":                 {"queue-version value", true, atLeast(1)},
	"overflow":                      {"overflow value", true, among("drop-head", "reject-publish", "reject-publish-dlx")},
	"delivery-limit":                {"delivery limit", true, atLeast(-1 << 31)},
	"max-age":                       {"max age", false, func(v any) bool { s, ok := v.(string); return ok && age.MatchString(s) }},
	"queue-leader-locator":          {"queue leader locator value", false, among("client-local", "balanced", "random", "least-leaders")},
	"queue-master-locator":          {"queue master locator", false, among("client-local", "min-masters", "random")},
	"initial-cluster-size":          {"cluster size", false, atLeast(0)},
	"target-group-size":             {"target group size", false, atLeast(0)},
	"stream-max-segment-size-bytes": {"segment size", false, atLeast(0)},
	"stream-filter-size-bytes":      {"filter size. Valid range is 16-255", false, atLeast(16)},
	"federation-upstream":           {"federation upstream name", false, isText},
	"federation-upstream-set":       {"federation upstream set name", false, isText},
	"ha-mode":                       {"ha-mode value", false, among("all", "exactly", "nodes")},
	"ha-params": {"ha-params value", false, func(v any) bool {
		_, list := v.([]any)
		return list || atLeast(1)(v)
	}},
	"ha-sync-mode":           {"ha-sync-mode value", false, among("manual", "automatic")},
	"ha-sync-batch-size":     {"ha-sync-batch-size value", false, atLeast(1)},
	"ha-promote-on-failure":  {"ha-promote-on-failure value", false, among("always", "when-synced")},
	"ha-promote-on-shutdown": {"ha-promote-on-shutdown value", false, among("always", "when-synced")},
	"trine-kind":             {"kind of queue", false, among("classic", "quorum")},
	"trine-copies":           {"number of copies", false, atLeast(1)},
}

// targets are what a policy may apply to.
var targets = []string{"queues", "classic_queues", "quorum_queues", "streams", "exchanges", "all"}

// checkPolicy says in RabbitMQ's words why a policy is none, or "".
func checkPolicy(b object, operator bool) string {
	pattern, ok := b["pattern"].(string)
	if !ok {
		return "pattern should be a binary but was " + erlang(b["pattern"])
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return fmt.Sprintf("pattern should be regular expression but is invalid: {%q,%d}",
			strings.TrimPrefix(err.Error(), "error parsing regexp: "), len(pattern))
	}
	if p, ok := b["priority"]; ok {
		if !atLeast(-1 << 31)(p) {
			return "priority should be a number, actually was " + erlang(p)
		}
	}
	if to, ok := b["apply-to"]; ok {
		name, _ := to.(string)
		if !slices.Contains(targets, name) {
			return fmt.Sprintf("apply-to '%v' unrecognised; should be one of: 'queues', "+
				"'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'", to)
		}
	}
	d, ok := b["definition"].(object)
	if !ok {
		return "definition should be an object but was " + erlang(b["definition"])
	}
	if len(d) == 0 {
		return "no policy provided"
	}
	unknown := object{}
	for k, v := range d {
		if s, ok := settings[k]; !ok || operator && !s.operator {
			unknown[k] = v
		}
	}
	if len(unknown) > 0 {
		return erlang(unknown) + " are not recognised policy settings"
	}
	return checkSettings(d)
}

func checkSettings(d object) string {
	why := []string{}
	for k, v := range d {
		if s := settings[k]; !s.ok(v) {
			why = append(why, erlang(v)+" is not a valid "+s.called)
		}
	}
	if len(why) == 0 {
		return ""
	}
	return slices.Min(why)
}
