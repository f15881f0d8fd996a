package wire

// ConnectionStart is a method.
type ConnectionStart struct {
	VersionMajor     uint8
	VersionMinor     uint8
	ServerProperties Table
	Mechanisms       []byte
	Locales          []byte
}

// ID gives the method's number.
func (*ConnectionStart) ID() ID { return IDConnectionStart }

func (m *ConnectionStart) code(c *coder) {
	c.octet(&m.VersionMajor)
	c.octet(&m.VersionMinor)
	c.table(&m.ServerProperties)
	c.longstr(&m.Mechanisms)
	c.longstr(&m.Locales)
}

// ConnectionStartOk is a method.
type ConnectionStartOk struct {
	ClientProperties Table
	Mechanism        string
	Response         []byte
	Locale           string
}

// ID gives the method's number.
func (*ConnectionStartOk) ID() ID { return IDConnectionStartOk }

func (m *ConnectionStartOk) code(c *coder) {
	c.table(&m.ClientProperties)
	c.str(&m.Mechanism)
	c.longstr(&m.Response)
	c.str(&m.Locale)
}

// ConnectionSecure is a method.
type ConnectionSecure struct {
	Challenge []byte
}

// ID gives the method's number.
func (*ConnectionSecure) ID() ID { return IDConnectionSecure }

func (m *ConnectionSecure) code(c *coder) {
	c.longstr(&m.Challenge)
}

// ConnectionSecureOk is a method.
type ConnectionSecureOk struct {
	Response []byte
}

// ID gives the method's number.
func (*ConnectionSecureOk) ID() ID { return IDConnectionSecureOk }

func (m *ConnectionSecureOk) code(c *coder) {
	c.longstr(&m.Response)
}

// ConnectionTune is a method.
type ConnectionTune struct {
	ChannelMax uint16
	FrameMax   uint32
	Heartbeat  uint16
}

// ID gives the method's number.
func (*ConnectionTune) ID() ID { return IDConnectionTune }

func (m *ConnectionTune) code(c *coder) {
	c.short(&m.ChannelMax)
	c.long(&m.FrameMax)
	c.short(&m.Heartbeat)
}

// ConnectionTuneOk is a method.
type ConnectionTuneOk struct {
	ChannelMax uint16
	FrameMax   uint32
	Heartbeat  uint16
}

// ID gives the method's number.
func (*ConnectionTuneOk) ID() ID { return IDConnectionTuneOk }

func (m *ConnectionTuneOk) code(c *coder) {
	c.short(&m.ChannelMax)
	c.long(&m.FrameMax)
	c.short(&m.Heartbeat)
}

// ConnectionOpen is a method.
type ConnectionOpen struct {
	VHost string
}

// ID gives the method's number.
func (*ConnectionOpen) ID() ID { return IDConnectionOpen }

func (m *ConnectionOpen) code(c *coder) {
	c.str(&m.VHost)
	c.str(new(string)) // reserved
	c.bit(new(bool))   // reserved
}

// ConnectionOpenOk is a method.
type ConnectionOpenOk struct{}

// ID gives the method's number.
func (*ConnectionOpenOk) ID() ID { return IDConnectionOpenOk }

func (*ConnectionOpenOk) code(c *coder) {
	c.str(new(string)) // reserved
}

// ConnectionClose is a method.
type ConnectionClose struct {
	Code   uint16
	Text   string
	Class  uint16
	Method uint16
}

// ID gives the method's number.
func (*ConnectionClose) ID() ID { return IDConnectionClose }

func (m *ConnectionClose) code(c *coder) {
	c.short(&m.Code)
	c.str(&m.Text)
	c.short(&m.Class)
	c.short(&m.Method)
}

// ConnectionCloseOk is a method.
type ConnectionCloseOk struct{}

// ID gives the method's number.
func (*ConnectionCloseOk) ID() ID { return IDConnectionCloseOk }

func (*ConnectionCloseOk) code(*coder) {}

// ConnectionBlocked is a method.
type ConnectionBlocked struct {
	Reason string
}

// ID gives the method's number.
func (*ConnectionBlocked) ID() ID { return IDConnectionBlocked }

func (m *ConnectionBlocked) code(c *coder) {
	c.str(&m.Reason)
}

// ConnectionUnblocked is a method.
type ConnectionUnblocked struct{}

// ID gives the method's number.
func (*ConnectionUnblocked) ID() ID { return IDConnectionUnblocked }

func (*ConnectionUnblocked) code(*coder) {}

// ConnectionUpdateSecret is a method.
type ConnectionUpdateSecret struct {
	Secret []byte
	Reason string
}

// ID gives the method's number.
func (*ConnectionUpdateSecret) ID() ID { return IDConnectionUpdateSecret }

func (m *ConnectionUpdateSecret) code(c *coder) {
	c.longstr(&m.Secret)
	c.str(&m.Reason)
}

// ConnectionUpdateSecretOk is a method.
type ConnectionUpdateSecretOk struct{}

// ID gives the method's number.
func (*ConnectionUpdateSecretOk) ID() ID { return IDConnectionUpdateSecretOk }

func (*ConnectionUpdateSecretOk) code(*coder) {}

// ChannelOpen is a method.
type ChannelOpen struct{}

// ID gives the method's number.
func (*ChannelOpen) ID() ID { return IDChannelOpen }

func (*ChannelOpen) code(c *coder) {
	c.str(new(string)) // reserved
}

// ChannelOpenOk is a method.
type ChannelOpenOk struct{}

// ID gives the method's number.
func (*ChannelOpenOk) ID() ID { return IDChannelOpenOk }

func (*ChannelOpenOk) code(c *coder) {
	c.longstr(new([]byte)) // reserved
}

// ChannelFlow is a method.
type ChannelFlow struct {
	Active bool
}

// ID gives the method's number.
func (*ChannelFlow) ID() ID { return IDChannelFlow }

func (m *ChannelFlow) code(c *coder) {
	c.bit(&m.Active)
}

// ChannelFlowOk is a method.
type ChannelFlowOk struct {
	Active bool
}

// ID gives the method's number.
func (*ChannelFlowOk) ID() ID { return IDChannelFlowOk }

func (m *ChannelFlowOk) code(c *coder) {
	c.bit(&m.Active)
}

// ChannelClose is a method.
type ChannelClose struct {
	Code   uint16
	Text   string
	Class  uint16
	Method uint16
}

// ID gives the method's number.
func (*ChannelClose) ID() ID { return IDChannelClose }

func (m *ChannelClose) code(c *coder) {
	c.short(&m.Code)
	c.str(&m.Text)
	c.short(&m.Class)
	c.short(&m.Method)
}

// ChannelCloseOk is a method.
type ChannelCloseOk struct{}

// ID gives the method's number.
func (*ChannelCloseOk) ID() ID { return IDChannelCloseOk }

func (*ChannelCloseOk) code(*coder) {}

// AccessRequest is a method.
type AccessRequest struct {
	Realm     string
	Exclusive bool
	Passive   bool
	Active    bool
	Write     bool
	Read      bool
}

// ID gives the method's number.
func (*AccessRequest) ID() ID { return IDAccessRequest }

func (m *AccessRequest) code(c *coder) {
	c.str(&m.Realm)
	c.bit(&m.Exclusive)
	c.bit(&m.Passive)
	c.bit(&m.Active)
	c.bit(&m.Write)
	c.bit(&m.Read)
}

// AccessRequestOk is a method.
type AccessRequestOk struct {
	Ticket uint16
}

// ID gives the method's number.
func (*AccessRequestOk) ID() ID { return IDAccessRequestOk }

func (m *AccessRequestOk) code(c *coder) {
	c.short(&m.Ticket)
}
