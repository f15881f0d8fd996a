package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"trine/internal/core"
	"trine/internal/front/amqp/access"
)

// config is what a node is told, by a TOML file and by flags, which win.
type config struct {
	Node      int      `toml:"node"`
	Data      string   `toml:"data"`
	Listen    string   `toml:"listen"`    // for the other nodes
	Advertise string   `toml:"advertise"` // the host that others are told
	Peers     []string `toml:"peers"`     // "2=host:port", of the other nodes
	Rack      string   `toml:"rack"`
	LogLevel  string   `toml:"log-level"`
	Pprof     string   `toml:"pprof"` // loopback address for profiles; none if empty

	AMQP     amqpConfig   `toml:"amqp"`
	Kafka    kafkaConfig  `toml:"kafka"`
	RocketMQ rocketConfig `toml:"rocketmq"`
	HTTP     httpConfig   `toml:"http"`
	TLS      tlsConfig    `toml:"tls"`

	volatile bool // the drill's: what is not flushed is lost with the process
}

type amqpConfig struct {
	Listen    string   `toml:"listen"`
	ListenTLS string   `toml:"listen-tls"`
	Loopback  []string `toml:"loopback-users"` // who may come from this machine only
	LoginFrom string   `toml:"login-from"`     // the name of a certificate that is the user's

	Definitions string `toml:"definitions"` // RabbitMQ's definitions.json, imported at every start
}

type kafkaConfig struct {
	Listen     string `toml:"listen"`
	Copies     int    `toml:"copies"`      // of topics that do not say
	MinInSync  int    `toml:"min-in-sync"` // of topics that do not say
	Partitions int    `toml:"partitions"`  // of topics that do not say
	AutoCreate bool   `toml:"auto-create"` // topics are made when a client asks about them
}

type rocketConfig struct {
	NameServer string `toml:"nameserver"`
	Broker     string `toml:"broker"`
}

type httpConfig struct {
	Listen    string `toml:"listen"`
	ListenTLS string `toml:"listen-tls"`
}

// The standard ports.
const (
	portPeers      = 7400
	portAMQP       = 5672
	portKafka      = 9092
	portNameServer = 9876
	portBroker     = 10911
	portHTTP       = 15672
)

// standard gives the configuration of a node that is told nothing: all protocols on
// their standard ports, on one address.
func standard(host string, shift int) config {
	at := func(port int) string { return net.JoinHostPort(host, strconv.Itoa(port+shift)) }
	return config{Node: 1, Data: "trine-data", Listen: at(portPeers), LogLevel: "info",
		AMQP: amqpConfig{Listen: at(portAMQP), ListenTLS: off, Loopback: []string{"guest"},
			LoginFrom: string(access.DistinguishedName)},
		Kafka: kafkaConfig{Listen: at(portKafka), Copies: 1, MinInSync: 1, Partitions: 1,
			AutoCreate: true},
		RocketMQ: rocketConfig{NameServer: at(portNameServer), Broker: at(portBroker)},
		HTTP:     httpConfig{Listen: at(portHTTP), ListenTLS: off}}
}

// flags lets f change c.
func (c *config) flags(f *pflag.FlagSet) {
	f.IntVar(&c.Node, "node", c.Node, "this node's number in its cluster, from 1")
	f.StringVar(&c.Data, "data", c.Data, "data directory")
	f.StringVar(&c.Listen, "listen", c.Listen, "host:port for the other nodes")
	f.StringVar(&c.Advertise, "advertise", c.Advertise,
		"host that clients and other nodes are told (default: as they called, or as listened on)")
	f.StringSliceVar(&c.Peers, "peers", c.Peers, "the other nodes: 2=host:port,3=host:port")
	f.StringVar(&c.Rack, "rack", c.Rack, "copies of a stream are spread over racks")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, info, warn or error")
	f.StringVar(&c.Pprof, "pprof", c.Pprof, "loopback host:port for Go's profiles (default: none)")
	f.StringVar(&c.AMQP.Listen, "amqp", c.AMQP.Listen, "host:port for AMQP 0-9-1, or off")
	f.StringVar(&c.AMQP.ListenTLS, "amqps", c.AMQP.ListenTLS,
		"host:port for AMQP 0-9-1 over TLS, 5671 by custom, or off")
	f.StringSliceVar(&c.AMQP.Loopback, "loopback-users", c.AMQP.Loopback,
		"users who may come from this machine only, or none")
	f.StringVar(&c.AMQP.Definitions, "definitions", c.AMQP.Definitions,
		"file of RabbitMQ's definitions, imported at every start")
	f.StringVar(&c.AMQP.LoginFrom, "login-from", c.AMQP.LoginFrom, "what of a client's certificate "+
		"names its user: distinguished_name, common_name or subject_alternative_name")
	f.StringVar(&c.Kafka.Listen, "kafka", c.Kafka.Listen, "host:port for Kafka clients, or off")
	f.IntVar(&c.Kafka.Copies, "kafka-copies", c.Kafka.Copies, "copies of topics that do not say")
	f.IntVar(&c.Kafka.MinInSync, "kafka-min-in-sync", c.Kafka.MinInSync,
		"copies that must be in sync, of topics that do not say")
	f.IntVar(&c.Kafka.Partitions, "kafka-partitions", c.Kafka.Partitions,
		"partitions of topics that do not say")
	f.BoolVar(&c.Kafka.AutoCreate, "kafka-auto-create", c.Kafka.AutoCreate, "topics create themselves")
	f.StringVar(&c.RocketMQ.NameServer, "nameserver", c.RocketMQ.NameServer,
		"host:port of the RocketMQ NameServer, or off")
	f.StringVar(&c.RocketMQ.Broker, "broker", c.RocketMQ.Broker,
		"host:port of the RocketMQ broker, or off")
	f.StringVar(&c.HTTP.Listen, "http", c.HTTP.Listen, "host:port of health, metrics and API, or off")
	f.StringVar(&c.HTTP.ListenTLS, "https", c.HTTP.ListenTLS,
		"host:port of the same over TLS, 15671 by custom, or off")
	f.StringVar(&c.TLS.Cert, "tls-cert", c.TLS.Cert,
		"certificate for --amqps and --https, and with --tls-ca between nodes")
	f.StringVar(&c.TLS.Key, "tls-key", c.TLS.Key, "its key")
	f.StringVar(&c.TLS.CA, "tls-ca", c.TLS.CA,
		"who signs the other nodes' certificates; without it nodes talk without TLS")
	f.StringVar(&c.TLS.ClientsCA, "tls-clients-ca", c.TLS.ClientsCA,
		"who signs clients' certificates, by which they may log in (EXTERNAL)")
	f.BoolVar(&c.volatile, "unsafe-volatile-writes", c.volatile,
		"keep writes in memory until they are flushed: the process's end is a power cut")
	_ = f.MarkHidden("unsafe-volatile-writes") // it is there
}

// load reads a file into c; the flags that were given stand above it.
func (c *config) load(name string, given *pflag.FlagSet) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	fresh := standard("127.0.0.1", 0)
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&fresh); err != nil {
		return explain(name, err)
	}
	again := pflag.NewFlagSet("", pflag.ContinueOnError)
	fresh.flags(again)
	given.Visit(func(f *pflag.Flag) {
		to := again.Lookup(f.Name)
		if to == nil || err != nil {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = to.Value.(pflag.SliceValue).Replace(list.GetSlice())
			return
		}
		err = to.Value.Set(f.Value.String())
	})
	*c = fresh
	return err
}

// explain names the line of what is wrong in a file.
func explain(name string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		e := unknown.Errors[0]
		line, _ := e.Position()
		return fmt.Errorf("read configuration %q: line %d: unknown key %q", name, line,
			strings.Join(e.Key(), "."))
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return fmt.Errorf("read configuration %q: line %d, column %d: %w", name, line, column, err)
	}
	return fmt.Errorf("read configuration %q: %w", name, err)
}

// peers gives the other nodes' addresses.
func (c *config) peers() (map[core.NodeID]string, error) {
	if len(c.Peers) == 0 {
		return nil, nil
	}
	all := map[core.NodeID]string{}
	for _, p := range c.Peers {
		id, address, ok := strings.Cut(strings.TrimSpace(p), "=")
		n, err := strconv.Atoi(id)
		if !ok || err != nil || n < 1 {
			return nil, fmt.Errorf("peer %q is not of the form 2=host:port", p)
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, fmt.Errorf("peer %q: %w", p, err)
		}
		if _, twice := all[core.NodeID(n)]; twice {
			return nil, fmt.Errorf("peer %d is named twice", n)
		}
		if n != c.Node {
			all[core.NodeID(n)] = address
		}
	}
	return all, nil
}

// check refuses what cannot work, before anything is touched.
func (c *config) check() error {
	if c.Node < 1 || c.Node > 1<<20 {
		return fmt.Errorf("node %d: a node's number is 1 or more", c.Node)
	}
	if c.Data == "" {
		return errors.New("no data directory is named")
	}
	for _, l := range c.listeners() {
		if _, _, err := net.SplitHostPort(*l.at); err != nil && *l.at != off {
			return fmt.Errorf("--%s %q: %w", l.flag, *l.at, err)
		}
	}
	if c.Listen == off {
		return errors.New("--listen cannot be off: other nodes, or a second one later, need it")
	}
	if n := c.Kafka.Copies; n < 1 || n > 7 || c.Kafka.MinInSync < 1 || c.Kafka.MinInSync > n {
		return fmt.Errorf("kafka copies %d, min-in-sync %d: copies are 1 to 7, and no fewer than must "+
			"be in sync", n, c.Kafka.MinInSync)
	}
	switch access.From(c.AMQP.LoginFrom) {
	case access.DistinguishedName, access.CommonName, access.AlternativeName:
	default:
		return fmt.Errorf("--login-from %q is none of distinguished_name, common_name, "+
			"subject_alternative_name", c.AMQP.LoginFrom)
	}
	if err := c.TLS.check(c.AMQP.ListenTLS != off || c.HTTP.ListenTLS != off); err != nil {
		return err
	}
	_, err := c.peers()
	return err
}

// off is the address of a listener that is not wanted.
const off = "off"

type listenerFlag struct {
	flag string
	at   *string
	what string
}

func (c *config) listeners() []listenerFlag {
	return []listenerFlag{{"listen", &c.Listen, "other nodes"}, {"amqp", &c.AMQP.Listen, "AMQP"},
		{"amqps", &c.AMQP.ListenTLS, "AMQP over TLS"}, {"https", &c.HTTP.ListenTLS, "HTTP over TLS"},
		{"kafka", &c.Kafka.Listen, "Kafka"},
		{"nameserver", &c.RocketMQ.NameServer, "RocketMQ's NameServer"},
		{"broker", &c.RocketMQ.Broker, "RocketMQ's broker"}, {"http", &c.HTTP.Listen, "HTTP"}}
}

// advertised gives what others are told of a listener: the advertised host, else
// the one listened on; no host where it listens on every address.
func (c *config) advertised(at string) string {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return at
	}
	if c.Advertise != "" {
		host = c.Advertise
	} else if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	return net.JoinHostPort(host, port)
}
