package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"trine/internal/core"
	"trine/internal/front/amqp/api/form"
)

// definitionRoutes are the paths of this file.
var definitionRoutes = []route{
	{"GET", "definitions", administrators, false, (*server).definitions},
	{"GET", "definitions/*", administrators, false, (*server).definitionsOfHost},
	{"POST", "definitions", administrators, false, (*server).importAll},
	{"POST", "definitions/*", administrators, false, (*server).importHost},
}

// definitionsMax bounds definitions that are brought in.
const definitionsMax = 20 << 20

func bodyMaxOf(r *http.Request) int64 {
	if strings.HasPrefix(r.URL.Path, "/api/definitions") {
		return definitionsMax
	}
	return bodyMax
}

// download is an answer that a browser keeps as a file.
type download struct {
	name string
	v    any
}

// product is what every file of definitions begins with.
func (s *server) product(format string) object {
	v := s.f.Version()
	return object{"rabbit_version": v, "rabbitmq_version": v, "product_name": "RabbitMQ",
		"product_version": v, "rabbitmq_definition_format": format}
}

// downloaded gives an answer as a file where the request names one.
func (c *call) downloaded(v any) (any, error) {
	if name := c.URL.Query().Get("download"); name != "" {
		return &download{strings.Map(plain, name), v}, nil
	}
	return v, nil
}

// plain leaves of a file's name what a header may bear.
func plain(r rune) rune {
	if r < ' ' || r > '~' || r == '"' || r == '\\' || r == ';' {
		return -1
	}
	return r
}

// definitions gives all that is declared, in RabbitMQ's form: it is taken here again, and
// by RabbitMQ.
func (s *server) definitions(c *call) (any, error) {
	known, err := s.known()
	if err != nil {
		return nil, err
	}
	o := s.product("cluster")
	o["original_cluster_name"] = s.f.ClusterName()
	o["explanation"] = "Definitions of cluster '" + s.f.ClusterName() + "'"
	users, hosts := []object{}, []object{}
	for _, a := range known.Accounts() {
		users = append(users, form.OfUser(a))
	}
	for _, h := range s.f.View().Hosts() {
		hosts = append(hosts, object{"name": h.Name, "description": h.Description, "tags": form.List(h.Tags),
			"default_queue_type": queueType(h.HostDoc), "metadata": hostMetadata(h.HostDoc)})
	}
	o["users"], o["vhosts"] = users, hosts
	grants := []object{}
	for _, g := range known.Grants() {
		if s.f.View().HasHost(g.Tenant) {
			grants = append(grants, form.OfPermission(g))
		}
	}
	o["permissions"] = grants
	if o["topic_permissions"], err = s.topics(c); err != nil {
		return nil, err
	}
	o["global_parameters"] = s.listGlobals()
	s.contents(o, "", func(o object) object { return o })
	return c.downloaded(o)
}

// definitionsOfHost gives what is declared in one virtual host, without its name.
func (s *server) definitionsOfHost(c *call) (any, error) {
	h, ok := s.f.View().Host(c.arg(1))
	if !ok {
		return nil, bad("vhost_not_found")
	}
	o := s.product("single_virtual_host")
	o["original_vhost_name"] = h.Name
	o["explanation"] = "Definitions of virtual host '" + h.Name + "'"
	o["metadata"], o["description"] = hostMetadata(h.HostDoc), h.Description
	o["default_queue_type"] = queueType(h.HostDoc)
	o["limits"] = []any{}
	if len(h.Limits) > 0 {
		o["limits"] = h.Limits
	}
	s.contents(o, h.Name, func(o object) object { delete(o, "vhost"); return o })
	return c.downloaded(o)
}

// contents adds what is declared in one virtual host, or in all where it is "".
func (s *server) contents(o object, host string, each func(object) object) {
	v := s.f.View()
	parameters, policies, queues, exchanges, bindings := []object{}, []object{}, []object{}, []object{},
		[]object{}
	for _, p := range v.Parameters(host, "") {
		parameters = append(parameters, each(parameterObject(&p)))
	}
	for _, p := range v.OperatorPolicies(host) {
		value := policyObject(&p)
		delete(value, "vhost")
		delete(value, "name")
		parameters = append(parameters, each(object{"vhost": p.VHost, "component": "operator_policy",
			"name": p.Name, "value": value}))
	}
	for _, h := range v.Hosts() {
		if (host == "" || h.Name == host) && len(h.Limits) > 0 {
			parameters = append(parameters, each(object{"vhost": h.Name, "component": "vhost-limits",
				"name": "limits", "value": h.Limits}))
		}
	}
	for _, p := range v.Policies(host) {
		policies = append(policies, each(policyObject(&p)))
	}
	lasting := map[string]bool{}
	for _, q := range v.Queues(host) {
		if !v.HasHost(q.VHost) || q.Exclusive {
			continue
		}
		lasting[q.VHost+"\x00"+q.Name] = true
		q.Arguments["x-queue-type"] = q.Declared
		queues = append(queues, each(object{"name": q.Name, "vhost": q.VHost, "durable": q.Durable,
			"auto_delete": q.AutoDelete, "arguments": q.Arguments}))
	}
	for _, x := range v.Exchanges(host) {
		if !v.HasHost(x.VHost) || x.Name == "" || strings.HasPrefix(x.Name, "amq.") {
			continue
		}
		exchanges = append(exchanges, each(object{"name": x.Name, "vhost": x.VHost, "type": x.Type,
			"durable": x.Durable, "auto_delete": x.AutoDelete, "internal": x.Internal,
			"arguments": x.Arguments}))
	}
	for _, b := range v.Bindings(host) {
		if v.HasHost(b.VHost) && b.Source != "" && (!b.ToQueue || lasting[b.VHost+"\x00"+b.Destination]) {
			o := binding(&b)
			delete(o, "properties_key")
			bindings = append(bindings, each(o))
		}
	}
	o["parameters"], o["policies"], o["queues"] = parameters, policies, queues
	o["exchanges"], o["bindings"] = exchanges, bindings
}

// brought reads definitions: a JSON body, or the part "file" of a form; back is where a
// browser goes then.
func (c *call) brought() (o object, back string, err error) {
	var b []byte
	kind, params, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if kind == "multipart/form-data" {
		b, back, err = formFile(multipart.NewReader(c.Body, params["boundary"]))
	} else {
		b, err = io.ReadAll(c.Body)
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, "", bad("Exceeded HTTP request body size limit")
	case err != nil:
		return nil, "", bad("failed_to_parse_json")
	case len(bytes.TrimSpace(b)) == 0:
		return object{}, back, nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if d.Decode(&o) != nil || o == nil {
		return nil, "", bad("failed_to_parse_json")
	}
	return o, back, nil
}

func formFile(r *multipart.Reader) (file []byte, back string, err error) {
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return file, back, nil
		}
		if err != nil {
			return nil, "", err
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil, "", err
		}
		switch p.FormName() {
		case "file":
			file = b
		case "redirect":
			back = string(b)
		}
	}
}

// moved sends a browser on.
type moved struct{ to string }

func (m *moved) Error() string { return "see " + m.to }

func (s *server) importAll(c *call) (any, error) { return s.bringIn(c, "") }

func (s *server) importHost(c *call) (any, error) {
	if !s.f.View().HasHost(c.arg(1)) {
		return nil, notFound("vhost_not_found")
	}
	return s.bringIn(c, c.arg(1))
}

func (s *server) bringIn(c *call, host string) (any, error) {
	o, back, err := c.brought()
	if err != nil {
		return nil, err
	}
	if err := s.take(c, o, host); err != nil {
		return nil, err
	}
	if strings.HasPrefix(back, "/") && !strings.HasPrefix(back, "//") {
		return nil, &moved{back}
	}
	return nil, done
}

// Import takes definitions without anybody asking for it: those that a node is started
// with. An error of kind core.Invalid says that they cannot be taken, ever.
func (s *Server) Import(ctx context.Context, file []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/api/definitions", bytes.NewReader(file))
	if err != nil {
		return err
	}
	c := &call{Request: r}
	o, _, err := c.brought()
	if err == nil {
		err = s.take(c, o, "")
	}
	var t *trouble
	if errors.As(err, &t) && t.Status == http.StatusBadRequest {
		return &core.Error{Op: "import definitions", Kind: core.Invalid, Err: err}
	}
	return err
}

// hostOf gives the virtual host that something brought in belongs to.
func hostOf(o object, host string) string {
	if host != "" {
		return host
	}
	return text(o, "vhost")
}

// systemName says whether a name is one of the broker's own.
func systemName(name string) bool { return name == "" || strings.HasPrefix(name, "amq.") }
