package declare

import (
	"trine/internal/front/amqp/wire"
)

func invalidArg(arg string, of Subject, why string) error {
	return wire.Errorf(wire.PreconditionFailed, "invalid arg '%s' for %s: %s", arg, of, why)
}

// Subject is what a reply speaks of: queue 'q' in vhost '/'.
type Subject struct{ Kind, Name, VHost string }

func (s Subject) String() string { return s.Kind + " '" + s.Name + "' in vhost '" + s.VHost + "'" }

// noName is the reply to an argument that names an exchange and is no string.
func noName(arg string, v wire.Value, of Subject) error {
	return wire.Errorf(wire.PreconditionFailed, "invalid type '%s' for arg '%s' in %s", v.TypeName(), arg, of)
}

// inequivalent is the reply to another value than the one declared first.
func inequivalent(arg string, of Subject, received, current string) error {
	return wire.Errorf(wire.PreconditionFailed,
		"inequivalent arg '%s' for %s: received %s but current is %s", arg, of, received, current)
}

func quoted(s string) string { return "'" + s + "'" }

func truth(b bool) string {
	if b {
		return "'true'"
	}
	return "'false'"
}
