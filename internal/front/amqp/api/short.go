package api

import (
	"net/http"

	"trine/internal/core"
	"trine/internal/front/amqp/api/form"
)

// What requests say, by shorter names.
type (
	object  = form.Object
	trouble = form.Trouble
)

var (
	called       = form.Called
	notFound     = form.NotFound
	bad          = form.Bad
	fromBroker   = form.FromBroker
	fromChannel  = form.FromChannel
	text         = form.Text
	flag         = form.Flag
	number       = form.Number
	table        = form.Table
	fieldsOf     = form.FieldsOf
	propertiesOf = form.PropertiesOf
	erlang       = form.Erlang
)

// body reads what a request sends: a JSON object, or nothing. All keys must be there.
func (c *call) body(keys ...string) (object, error) { return form.Read(c.Body, keys...) }

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
