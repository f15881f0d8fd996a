// Package form turns RabbitMQ's JSON into what is asked of the broker and back, and says
// in RabbitMQ's words why something that was asked for cannot be.
package form

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"trine/internal/front/amqp/wire"
)

// Object is one in JSON.
type Object = map[string]any

// Trouble is an answer other than 200 whose body is given: RabbitMQ's names of errors
// do not follow from the status.
type Trouble struct {
	Status int
	Body   any
}

func (t *Trouble) Error() string { return fmt.Sprint(t.Status, " ", t.Body) }

// Called gives a failure with its own name.
func Called(status int, name string, reason any) *Trouble {
	return &Trouble{status, Object{"error": name, "reason": reason}}
}

// NotFound is for what a request names beside its own path.
func NotFound(reason string) *Trouble { return Called(http.StatusNotFound, "not_found", reason) }

// Bad is for what a request says wrongly.
func Bad(reason any) *Trouble { return Called(http.StatusBadRequest, "bad_request", reason) }

// FromBroker gives the answer for what the broker replied to a method.
func FromBroker(err error) error {
	var e *wire.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case wire.NotFound:
		return NotFound(e.Text)
	case wire.AccessRefused, wire.NotAllowed:
		return Called(http.StatusUnauthorized, "not_authorised", "Access refused.")
	}
	return Bad(e.Text)
}

// FromChannel is the same where a message was published or asked for: RabbitMQ gives
// the reply whole.
func FromChannel(err error) error {
	var e *wire.Error
	if errors.As(err, &e) && e.Code != wire.NotFound && e.Code != wire.AccessRefused {
		return Bad(fmt.Sprintf("%d %s", e.Code, e.Error()))
	}
	return FromBroker(err)
}

// Read reads what a request sends: a JSON object, or nothing. All keys must be there.
func Read(r io.Reader, keys ...string) (Object, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, Bad("Exceeded HTTP request body size limit")
	}
	o := Object{}
	if text := strings.TrimSpace(string(b)); text != "" && text != "null" && text != "undefined" {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return nil, Bad("not_json")
		}
		switch v := v.(type) {
		case Object:
			o = v
		case string:
			return nil, Bad("invalid payload: the request body JSON-decoded to a string. " +
				"Is the input doubly-JSON-encoded?")
		default:
			return nil, Bad("not_json")
		}
	}
	var missing []string
	for _, k := range keys {
		if _, ok := o[k]; !ok {
			missing = append(missing, "{key_missing,"+k+"}")
		}
	}
	if len(missing) > 0 {
		return nil, Bad("[" + strings.Join(missing, ",\n ") + "]")
	}
	return o, nil
}

// Text, Flag and Number read one field of a body.
func Text(o Object, key string) string {
	s, _ := o[key].(string)
	return s
}

func Flag(o Object, key string) bool {
	switch v := o[key].(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}

func Number(o Object, key string) (int, bool) {
	switch v := o[key].(type) {
	case json.Number:
		n, err := v.Int64()
		return int(n), err == nil
	case string:
		var n int
		_, err := fmt.Sscanf(v, "%d", &n)
		return n, err == nil
	}
	return 0, false
}
