package topology

import (
	"encoding/json"
	"slices"
	"strings"

	"trine/internal/core"
	"trine/internal/front"
)

// Parameter is a value that an operator gave to a component, for one virtual host or,
// where VHost and Component are "", for the whole cluster.
type Parameter struct {
	VHost, Component, Name string
	Value                  json.RawMessage
}

// settings are all parameters, in the order of their keys.
type settings struct {
	host   []Parameter
	global []Parameter
}

func (s *settings) set(vhost, rest string, d core.Document) {
	component, name, _ := strings.Cut(rest, "/")
	s.host = setParameter(s.host, Parameter{vhost, unescape(component), name, d.Value})
}

func (s *settings) setGlobal(name string, d core.Document) {
	s.global = setParameter(s.global, Parameter{Name: name, Value: d.Value})
}

func (p *Parameter) key() string { return ParameterKey(p.VHost, p.Component, p.Name) }

func setParameter(list []Parameter, p Parameter) []Parameter {
	at, found := slices.BinarySearchFunc(list, p.key(),
		func(o Parameter, key string) int { return strings.Compare(o.key(), key) })
	list = slices.Clone(list)
	if found {
		list = slices.Delete(list, at, at+1)
	}
	if p.Value == nil {
		return list
	}
	return slices.Insert(list, at, p)
}

// Parameters gives the parameters of virtual hosts; "" stands for all of them, and for
// all components.
func (v *View) Parameters(vhost, component string) []Parameter {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []Parameter
	for _, p := range v.settings.host {
		if (vhost == "" || p.VHost == vhost) && (component == "" || p.Component == component) {
			all = append(all, p)
		}
	}
	return all
}

// GlobalParameters gives those of the whole cluster.
func (v *View) GlobalParameters() []Parameter {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.settings.global
}

func (p *Parameter) document() string {
	if p.Component == "" {
		return GlobalKey(p.Name)
	}
	return p.key()
}

// SetParameter puts a parameter.
func SetParameter(c front.Core, p Parameter, done func(error)) {
	put(c, core.Change{Key: p.document(), Value: p.Value}, done)
}

// ClearParameter removes one.
func ClearParameter(c front.Core, p Parameter, done func(error)) {
	put(c, core.Change{Key: p.document()}, done)
}
