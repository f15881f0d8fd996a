package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"trine/internal/core"
	"trine/internal/front/amqp/wire"
)

// trouble is an answer other than 200 whose body is given: RabbitMQ's names of errors
// do not follow from the status.
type trouble struct {
	status int
	body   any
}

func (t *trouble) Error() string { return fmt.Sprint(t.status, " ", t.body) }

// called gives a failure with its own name.
func called(status int, name string, reason any) *trouble {
	return &trouble{status, object{"error": name, "reason": reason}}
}

// notFound is for what a request names beside its own path.
func notFound(reason string) *trouble { return called(http.StatusNotFound, "not_found", reason) }

// bad is for what a request says wrongly.
func bad(reason any) *trouble { return called(http.StatusBadRequest, "bad_request", reason) }

// fromBroker gives the answer for what the broker replied to a method.
func fromBroker(err error) error {
	var e *wire.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case wire.NotFound:
		return notFound(e.Text)
	case wire.AccessRefused, wire.NotAllowed:
		return called(http.StatusUnauthorized, "not_authorised", "Access refused.")
	}
	return bad(e.Text)
}

// fromChannel is the same where a message was published or asked for: RabbitMQ gives
// the reply whole.
func fromChannel(err error) error {
	var e *wire.Error
	if errors.As(err, &e) && e.Code != wire.NotFound && e.Code != wire.AccessRefused {
		return bad(fmt.Sprintf("%d %s", e.Code, e.Error()))
	}
	return fromBroker(err)
}

// body reads what a request sends: a JSON object, or nothing. All keys must be there.
func (c *call) body(keys ...string) (object, error) {
	b, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, bad("Exceeded HTTP request body size limit")
	}
	o := object{}
	if text := strings.TrimSpace(string(b)); text != "" && text != "null" && text != "undefined" {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return nil, bad("not_json")
		}
		switch v := v.(type) {
		case object:
			o = v
		case string:
			return nil, bad("invalid payload: the request body JSON-decoded to a string. " +
				"Is the input doubly-JSON-encoded?")
		default:
			return nil, bad("not_json")
		}
	}
	var missing []string
	for _, k := range keys {
		if _, ok := o[k]; !ok {
			missing = append(missing, "{key_missing,"+k+"}")
		}
	}
	if len(missing) > 0 {
		return nil, bad("[" + strings.Join(missing, ",\n ") + "]")
	}
	return o, nil
}

// text, flag and number read one field of a body.
func text(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

func flag(o object, key string) bool {
	switch v := o[key].(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}

func number(o object, key string) (int, bool) {
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

// unsure is the answer where the cluster could not be asked.
func unsure(err error) error {
	switch core.KindOf(err) {
	case core.NotExist:
		return errNone
	case core.Invalid:
		return bad(err.Error())
	}
	return called(http.StatusServiceUnavailable, "service_unavailable", err.Error())
}
