package form

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"

	"trine/internal/core"
	"trine/internal/front/gate"
)

// UserLimits are the limits that a user may have.
var UserLimits = []string{gate.ConnectionsMax, gate.ChannelsMax}

// List is a list that is never null in JSON.
func List(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// OfUser shows a user.
func OfUser(a gate.Account) Object {
	algorithm := a.Hash.Algorithm
	if algorithm == "" {
		algorithm = gate.Algorithms[0]
	}
	limits := Object{}
	for name, n := range a.Limits {
		limits[name] = n
	}
	return Object{"name": a.Name, "tags": List(a.Tags), "limits": limits,
		"hashing_algorithm": algorithm, "password_hash": base64.StdEncoding.EncodeToString(a.Hash.Salted)}
}

// User makes a user of what JSON says of it. Limits that it does not speak of stay.
func User(known *gate.Snapshot, name string, o Object) (core.Change, error) {
	a := gate.Account{Name: name}
	before, _ := known.Account(name)
	a.Limits = before.Limits
	var err error
	if a.Tags, err = Tags(o["tags"]); err != nil {
		return core.Change{}, err
	}
	if limits, ok := o["limits"].(Object); ok {
		a.Limits = map[string]int{}
		for k := range limits {
			n, ok := Number(limits, k)
			if !ok || !slices.Contains(UserLimits, k) {
				return core.Change{}, Bad("limit " + k + " of user " + name + " is not one")
			}
			a.Limits[k] = n
		}
	}
	password, named := o["password"]
	hash, hashed := o["password_hash"]
	if named && hashed {
		return core.Change{}, Bad("both_password_and_password_hash_are_provided")
	}
	word, isText := password.(string)
	if named && !isText {
		return core.Change{}, Bad("the password is no string")
	}
	if word != "" {
		return invalid(gate.PutUser(a, word, rand.Reader))
	}
	if hashed {
		text, isText := hash.(string)
		a.Hash.Salted, err = base64.StdEncoding.DecodeString(text)
		if !isText || err != nil {
			return core.Change{}, Bad([]any{"not_base64", hash})
		}
	}
	if len(a.Hash.Salted) > 0 {
		if a.Hash.Algorithm = Text(o, "hashing_algorithm"); a.Hash.Algorithm == "" {
			a.Hash.Algorithm = gate.Algorithms[0]
		}
	}
	return invalid(gate.PutHashed(a))
}

// invalid gives an error that says what is wrong with a request.
func invalid(ch core.Change, err error) (core.Change, error) {
	if core.KindOf(err) == core.Invalid {
		return ch, Bad(err.Error())
	}
	return ch, err
}

// Tags reads tags as a list, or as words with commas between them.
func Tags(v any) ([]string, error) {
	tags := []string{}
	switch v := v.(type) {
	case nil:
		return nil, Bad("tags_not_present")
	case string:
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.TrimSpace(t); t != "" {
				tags = append(tags, t)
			}
		}
	case []any:
		for _, e := range v {
			t, ok := e.(string)
			if !ok {
				return nil, Bad("a tag is no string")
			}
			tags = append(tags, t)
		}
	default:
		return nil, Bad("tags are neither a string nor a list of strings")
	}
	return tags, nil
}

// OfPermission shows a permission.
func OfPermission(g gate.Grant) Object {
	return Object{"user": g.User, "vhost": g.Tenant, "configure": g.Configure, "write": g.Write,
		"read": g.Read}
}

// Permission makes a permission of what JSON says of it.
func Permission(user, vhost string, o Object) (core.Change, error) {
	var p gate.Permission
	err := texts(o, field{"configure", &p.Configure}, field{"write", &p.Write}, field{"read", &p.Read})
	if err != nil {
		return core.Change{}, err
	}
	return invalid(gate.Permit(user, vhost, p))
}

// OfTopic shows a topic permission.
func OfTopic(t gate.Topic) Object {
	return Object{"user": t.User, "vhost": t.Tenant, "exchange": t.Exchange, "write": t.Write,
		"read": t.Read}
}

// Topic makes a topic permission of what JSON says of it.
func Topic(user, vhost string, o Object) (core.Change, error) {
	t := gate.Topic{User: user, Tenant: vhost}
	err := texts(o, field{"exchange", &t.Exchange}, field{"write", &t.Write}, field{"read", &t.Read})
	if err != nil {
		return core.Change{}, err
	}
	return invalid(gate.PermitTopic(t))
}

type field struct {
	name string
	to   *string
}

// texts reads fields that must be there, as strings.
func texts(o Object, fields ...field) error {
	for _, f := range fields {
		text, ok := o[f.name].(string)
		if !ok {
			return Bad(f.name + " is no string")
		}
		*f.to = text
	}
	return nil
}
