package amqp

import (
	"errors"
	"slices"

	"trine/internal/core"
	"trine/internal/front/amqp/access"
	"trine/internal/front/amqp/wire"
)

// start proposes what is spoken here.
func (c *conn) start() {
	c.stage = awaitsStartOk
	var caps wire.Table
	for _, name := range []string{"publisher_confirms", "exchange_exchange_bindings", "basic.nack",
		"consumer_cancel_notify", "connection.blocked", "consumer_priorities",
		"authentication_failure_close", "per_consumer_qos", "direct_reply_to"} {
		caps = caps.PutBool(name, true)
	}
	props := wire.Table(nil).PutTable("capabilities", caps).
		PutString("cluster_name", c.f.o.Cluster).
		PutString("copyright", "Trine's authors").
		PutString("information", "AMQP 0-9-1 by Trine").
		PutString("platform", "Trine").
		PutString("product", "RabbitMQ").
		PutString("version", c.f.o.Version)
	c.send(0, &wire.ConnectionStart{VersionMajor: 0, VersionMinor: 9, ServerProperties: props,
		Mechanisms: []byte(access.Mechanisms(c.w.Info().TLS)), Locales: []byte("en_US")})
}

// startOk checks who the client is.
func (c *conn) startOk(m *wire.ConnectionStartOk) error {
	if v, ok := m.ClientProperties.Get("capabilities"); ok {
		caps, _ := v.Table()
		has := func(name string) bool {
			v, _ := caps.Get(name)
			b, _ := v.Bool()
			return b
		}
		c.clientCloses = has("authentication_failure_close")
		c.clientCancel = has("consumer_cancel_notify")
		c.clientBlock = has("connection.blocked")
	}
	c.mechanism, c.properties = m.Mechanism, slices.Clone(m.ClientProperties)
	known := c.f.o.Gate.Revision()
	err := c.login(m.Response)
	if err == nil || errors.As(err, new(*wire.Error)) {
		return err
	}
	response := slices.Clone(m.Response)
	c.sure(func() error {
		if c.f.o.Gate.Revision() != known { // the user may be one of those that came meanwhile
			err = c.login(response)
		}
		if err == nil || errors.As(err, new(*wire.Error)) {
			return err
		}
		c.f.log.Info("login refused", "front", "amqp", "client", c.w.Info().Remote, "err", err)
		return wire.Errorf(wire.AccessRefused, "Login was refused using authentication mechanism %s. "+
			"For details see the broker logfile.", c.mechanism)
	})
	return nil
}

// login lets a client in whose response is right.
func (c *conn) login(response []byte) error {
	user, err := access.Login(c.f.o.Gate, c.mechanism, response, c.w.Info(), c.f.o.LoginFrom)
	if err != nil {
		return err
	}
	c.user, c.stage = user, awaitsTuneOk
	c.send(0, &wire.ConnectionTune{ChannelMax: uint16(c.f.o.ChannelMax),
		FrameMax: uint32(c.f.o.FrameMax), Heartbeat: uint16(c.f.o.Heartbeat)})
	return nil
}

// sure calls then once this node knows all that was agreed before now: only then is
// somebody refused. It runs outside of the node's loop, which a login would hold up.
func (c *conn) sure(then func() error) {
	c.asking = true
	stage := c.stage
	c.f.core.Cluster().Sync(func(error) {
		c.w.Lock()
		defer c.w.Unlock()
		c.again = func() {
			c.asking = false
			if c.stage != stage {
				return
			}
			if err := then(); err != nil {
				c.broken(asReply(err))
			}
		}
		c.w.TickAt(c.w.Now().Mono)
	})
}

// refuse ends a connection that was never open, after a delay. Who is not known yet is
// told nothing, but that his login is refused, if he understands that; who is known, that
// sizes cannot be agreed on; and then everything.
func (c *conn) refuse(e *wire.Error) {
	login := e.Code == wire.AccessRefused
	told := c.stage == awaitsOpen || c.stage == awaitsTuneOk && e.Code == wire.NotAllowed ||
		login && c.clientCloses
	c.stage = closing
	if !login {
		c.f.log.Info("connection refused before it was open", "front", "amqp",
			"client", c.w.Info().Remote, "reply", e.Code, "text", e.Text)
	}
	if told {
		c.send(0, &wire.ConnectionClose{Code: e.Code, Text: e.ReplyText(), Class: e.ID.Class(),
			Method: e.ID.Method()})
	}
	c.failure = e
	c.cutAt(c.w.Now().Mono + loginDelay)
}

// tuneOk takes what the client agreed to.
func (c *conn) tuneOk(now core.Now, m *wire.ConnectionTuneOk) error {
	limits := []struct {
		name             string
		asked, ours, low uint32
	}{
		{"frame_max", m.FrameMax, uint32(c.f.o.FrameMax), wire.FrameMin},
		{"channel_max", uint32(m.ChannelMax), uint32(c.f.o.ChannelMax), 1},
	}
	for _, l := range limits {
		switch {
		case l.asked == 0:
			return wire.Errorf(wire.NotAllowed, "negotiated %s = 0 (no limit) is higher than the "+
				"maximum allowed value (%d)", l.name, l.ours)
		case l.asked > l.ours:
			return wire.Errorf(wire.NotAllowed, "negotiated %s = %d is higher than the maximum "+
				"allowed value (%d)", l.name, l.asked, l.ours)
		case l.asked < l.low:
			return wire.Errorf(wire.NotAllowed, "negotiated %s = %d is lower than the minimum "+
				"allowed value (%d)", l.name, l.asked, l.low)
		}
	}
	c.frameMax, c.chanMax = int(m.FrameMax), int(m.ChannelMax)
	c.heartbeat = core.Time(m.Heartbeat) * core.Second
	c.heard, c.said = now.Mono, now.Mono
	c.stage = awaitsOpen
	return nil
}

// open enters a virtual host.
func (c *conn) open(m *wire.ConnectionOpen) error {
	host := m.VHost
	if c.f.view.HasHost(host) && c.f.o.Gate.Enter(c.user, host) {
		return c.openHost(host)
	}
	c.sure(func() error { return c.openHost(host) })
	return nil
}

func (c *conn) openHost(host string) error {
	if err := c.enter(host); err != nil {
		return err
	}
	c.stage, c.since = running, c.w.Now().Wall
	c.inHost(host)
	c.w.Ready()
	c.f.counts.churn.ConnectionsOpened.Add(1)
	c.send(0, &wire.ConnectionOpenOk{})
	if c.heartbeat != 0 {
		c.w.TickAt(c.w.Now().Mono + c.heartbeat/2)
	}
	return nil
}
