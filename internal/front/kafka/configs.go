package kafka

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"trine/internal/core"
)

// shown gives a setting's value and where it comes from.
func (f *Front) shown(d *setting, s *settings) (string, kmsg.ConfigSource) {
	if v, ok := s.written[d.name]; ok {
		return v, kmsg.ConfigSourceDynamicTopicConfig
	}
	return f.defaultOf(d)
}

func (f *Front) defaultOf(d *setting) (string, kmsg.ConfigSource) {
	if d.name == "min.insync.replicas" && f.cfg.MinInSync != 1 {
		return strconv.Itoa(f.cfg.MinInSync), kmsg.ConfigSourceStaticBrokerConfig
	}
	return d.def, kmsg.ConfigSourceDefaultConfig
}

var configTypes = map[kind]kmsg.ConfigType{kindBool: kmsg.ConfigTypeBoolean,
	kindString: kmsg.ConfigTypeString,
	kindInt:    kmsg.ConfigTypeInt, kindShort: kmsg.ConfigTypeShort, kindLong: kmsg.ConfigTypeLong,
	kindDouble: kmsg.ConfigTypeDouble, kindList: kmsg.ConfigTypeList}

func (c *Conn) describeConfigs(r *request, q *kmsg.DescribeConfigsRequest) {
	sure := !slices.ContainsFunc(q.Resources, func(x kmsg.DescribeConfigsRequestResource) bool {
		return x.ResourceType == kmsg.ConfigResourceTypeTopic && c.f.topics.get(x.ResourceName) == nil
	})
	c.certain(sure, func(unsure error) {
		a := answerTo[*kmsg.DescribeConfigsResponse](q)
		for i := range q.Resources {
			x := &q.Resources[i]
			out := kmsg.NewDescribeConfigsResponseResource()
			out.ResourceType, out.ResourceName = x.ResourceType, x.ResourceName
			var err error
			switch x.ResourceType {
			case kmsg.ConfigResourceTypeTopic:
				t := c.f.topics.get(x.ResourceName)
				switch {
				case t != nil:
					out.Configs = c.f.topicConfigs(t, x.ConfigNames, q)
				case unsure != nil:
					err = unsure
				case checkName(x.ResourceName) != "":
					err = faultf(errInvalidTopic, "Topic name is invalid: %s", checkName(x.ResourceName))
				default:
					err = faultf(errUnknownTopic, "This server does not host this topic-partition.")
				}
			case kmsg.ConfigResourceTypeBroker:
				out.Configs, err = c.f.brokerConfigs(x)
			default:
				err = faultf(errInvalidRequest, "Unsupported resource type: %v", x.ResourceType)
			}
			out.ErrorCode, out.ErrorMessage = adminFault(err)
			a.Resources = append(a.Resources, out)
		}
		r.reply(a)
	})
}

func (f *Front) topicConfigs(t *topic, names []string,
	q *kmsg.DescribeConfigsRequest) []kmsg.DescribeConfigsResponseResourceConfig {
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for i := range settingTable {
		d := &settingTable[i]
		if names != nil && !slices.Contains(names, d.name) {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		value, source := f.shown(d, &t.settings)
		c.Name, c.Value, c.Source = d.name, &value, source
		c.ConfigType = configTypes[d.kind]
		if q.IncludeSynonyms {
			if source == kmsg.ConfigSourceDynamicTopicConfig {
				c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(d.name, value, source))
			}
			if d.synonym != "" {
				def, from := f.defaultOf(d)
				c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(d.synonym, def, from))
			}
		}
		out = append(out, c)
	}
	return out
}

func synonym(name, value string,
	source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, &value, source
	return s
}

// brokerConfigs gives a node's own settings: those it was started with, and what
// topics take from it.
func (f *Front) brokerConfigs(
	x *kmsg.DescribeConfigsRequestResource,
) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	id, err := strconv.ParseInt(x.ResourceName, 10, 32)
	if x.ResourceName == "" {
		return nil, nil // what was set for all brokers: nothing
	}
	known := slices.ContainsFunc(f.core.Cluster().Nodes(),
		func(n core.NodeInfo) bool { return int64(n.Node) == id })
	if err != nil || !known {
		return nil, faultf(errInvalidRequest,
			"Unexpected broker id, expected %d or empty string, but received %s",
			f.self(), x.ResourceName)
	}
	values := map[string]string{
		"auto.create.topics.enable":    strconv.FormatBool(f.cfg.AutoCreate),
		"broker.id":                    x.ResourceName,
		"default.replication.factor":   strconv.Itoa(f.cfg.DefaultCopies),
		"delete.topic.enable":          "true",
		"node.id":                      x.ResourceName,
		"num.partitions":               strconv.Itoa(f.cfg.Partitions),
		"offsets.topic.num.partitions": strconv.Itoa(f.cfg.OffsetsPartitions),
		"socket.request.max.bytes":     strconv.Itoa(f.cfg.RequestBytesMax),
	}
	for i := range settingTable {
		if d := &settingTable[i]; d.synonym != "" {
			values[d.synonym], _ = f.defaultOf(d)
		}
	}
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if x.ConfigNames != nil && !slices.Contains(x.ConfigNames, name) {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value, c.ReadOnly = name, kmsg.StringPtr(values[name]), true
		c.Source, c.ConfigType = kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigTypeString
		out = append(out, c)
	}
	return out, nil
}

// alteration is a change of one resource's settings: nil values go back to the
// default.
type alteration struct {
	kind kmsg.ConfigResourceType
	name string
	edit func(old map[string]string) (map[string]string, error)
}

// alter changes settings of topics, each topic by itself.
func (c *Conn) alter(as []alteration, validateOnly bool, ended func(i int, err error), all func()) {
	open := len(as)
	if open == 0 {
		all()
		return
	}
	end := func(i int, err error) {
		ended(i, err)
		if open--; open == 0 {
			all()
		}
	}
	c.certain(false, func(unsure error) {
		for i := range as {
			cs, err := c.f.planAlteration(&as[i], unsure)
			if err != nil || validateOnly || len(cs) == 0 {
				end(i, err)
				continue
			}
			c.f.core.Cluster().Put(cs, func(_ core.Revision, err error) { c.later(func() { end(i, err) }) })
		}
	})
}

func (f *Front) planAlteration(a *alteration, unsure error) ([]core.Change, error) {
	if a.kind != kmsg.ConfigResourceTypeTopic {
		return nil, faultf(errInvalidRequest, "only topics' settings can be changed")
	}
	t := f.topics.get(a.name)
	switch {
	case t == nil && unsure != nil:
		return nil, unsure
	case t == nil:
		return nil, faultf(errUnknownTopic, "The topic '%s' does not exist.", a.name)
	case t.internal():
		return nil, faultf(errInvalidTopic, "the topic is the broker's own")
	}
	written, err := a.edit(maps.Clone(t.settings.written))
	if err != nil {
		return nil, err
	}
	s, err := parseSettings(written)
	if err != nil {
		return nil, err
	}
	cs := []core.Change{{Key: topicKey(t.name), Value: encodeTopic(t.id, len(t.parts), written),
		Expect: t.revision}}
	for _, p := range t.parts {
		stream := p.stream.Load()
		if stream == nil {
			continue
		}
		policy := s.policy(stream.Policy.Copies, f.cfg.MinInSync)
		change := core.Alteration{}
		if policy != stream.Policy {
			change.Policy = &policy
		}
		if s.keep != stream.Keep {
			change.Keep = &s.keep
		}
		if change.Policy != nil || change.Keep != nil {
			cs = append(cs, core.Change{Stream: stream.Name, Alter: &change, IfID: stream.ID})
		}
	}
	return cs, nil
}

func (c *Conn) incrementalAlterConfigs(r *request, q *kmsg.IncrementalAlterConfigsRequest) {
	a := answerTo[*kmsg.IncrementalAlterConfigsResponse](q)
	var as []alteration
	for i := range q.Resources {
		x := &q.Resources[i]
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = x.ResourceType, x.ResourceName
		a.Resources = append(a.Resources, out)
		as = append(as, alteration{x.ResourceType, x.ResourceName,
			func(old map[string]string) (map[string]string, error) {
				return editSettings(old, x.Configs)
			}})
	}
	c.alter(as, q.ValidateOnly, func(i int, err error) {
		a.Resources[i].ErrorCode, a.Resources[i].ErrorMessage = adminFault(err)
	}, func() { r.reply(a) })
}

func editSettings(m map[string]string,
	edits []kmsg.IncrementalAlterConfigsRequestResourceConfig) (map[string]string, error) {
	if m == nil {
		m = map[string]string{}
	}
	for i := range edits {
		e := &edits[i]
		d := findSetting(e.Name)
		switch {
		case d == nil:
			return nil, errSetting("Unknown topic config name: " + e.Name)
		case e.Op == kmsg.IncrementalAlterConfigOpDelete:
			delete(m, e.Name)
			continue
		case e.Value == nil:
			return nil, faultf(errInvalidRequest, "Null value not supported for : %s", e.Name)
		case e.Op == kmsg.IncrementalAlterConfigOpSet:
			m[e.Name] = *e.Value
			continue
		case d.kind != kindList:
			return nil, faultf(errInvalidConfig, "Config value append is not allowed for config key: %s",
				e.Name)
		}
		old, ok := m[e.Name]
		if !ok {
			old = d.def
		}
		items := strings.FieldsFunc(old, func(ch rune) bool { return ch == ',' })
		for item := range strings.SplitSeq(*e.Value, ",") {
			at := slices.Index(items, item)
			switch {
			case e.Op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
				items = append(items, item)
			case e.Op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
				items = slices.Delete(items, at, at+1)
			}
		}
		m[e.Name] = strings.Join(items, ",")
	}
	return m, nil
}

// alterConfigs replaces all settings of a topic.
func (c *Conn) alterConfigs(r *request, q *kmsg.AlterConfigsRequest) {
	a := answerTo[*kmsg.AlterConfigsResponse](q)
	var as []alteration
	for i := range q.Resources {
		x := &q.Resources[i]
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = x.ResourceType, x.ResourceName
		a.Resources = append(a.Resources, out)
		as = append(as, alteration{x.ResourceType, x.ResourceName,
			func(map[string]string) (map[string]string, error) {
				m := map[string]string{}
				for _, s := range x.Configs {
					if s.Value != nil {
						m[s.Name] = *s.Value
					}
				}
				return m, nil
			}})
	}
	c.alter(as, q.ValidateOnly, func(i int, err error) {
		a.Resources[i].ErrorCode, a.Resources[i].ErrorMessage = adminFault(err)
	}, func() { r.reply(a) })
}
