package wire

import "encoding/binary"

// Properties are a message's properties as they arrived: flags, then values.
type Properties []byte

// NoProperties are those of a message without any.
var NoProperties = Properties{0, 0}

// The flags of the properties, in the order in which their values stand.
const (
	HasContentType     = 1 << 15
	HasContentEncoding = 1 << 14
	HasHeaders         = 1 << 13
	HasDeliveryMode    = 1 << 12
	HasPriority        = 1 << 11
	HasCorrelationID   = 1 << 10
	HasReplyTo         = 1 << 9
	HasExpiration      = 1 << 8
	HasMessageID       = 1 << 7
	HasTimestamp       = 1 << 6
	HasType            = 1 << 5
	HasUserID          = 1 << 4
	HasAppID           = 1 << 3
	HasClusterID       = 1 << 2
	propertiesMore     = 1 << 0
	propertiesUnknown  = 1 << 1
)

// Fields are properties read out. All bytes alias what they were read from.
type Fields struct {
	Flags           uint16 // which are there
	ContentType     []byte
	ContentEncoding []byte
	Headers         Table
	DeliveryMode    uint8
	Priority        uint8
	CorrelationID   []byte
	ReplyTo         []byte
	Expiration      []byte
	MessageID       []byte
	Timestamp       uint64
	Type            []byte
	UserID          []byte
	AppID           []byte
	ClusterID       []byte
}

// Persistent is the delivery mode of messages that outlive a restart.
const Persistent = 2

// code walks the fields in order.
func (f *Fields) code(c *coder) {
	names := [...]struct {
		flag  uint16
		value *[]byte
	}{
		{HasCorrelationID, &f.CorrelationID}, {HasReplyTo, &f.ReplyTo},
		{HasExpiration, &f.Expiration}, {HasMessageID, &f.MessageID},
	}
	if f.Flags&HasContentType != 0 {
		c.name(&f.ContentType)
	}
	if f.Flags&HasContentEncoding != 0 {
		c.name(&f.ContentEncoding)
	}
	if f.Flags&HasHeaders != 0 {
		c.table(&f.Headers)
	}
	if f.Flags&HasDeliveryMode != 0 {
		c.octet(&f.DeliveryMode)
	}
	if f.Flags&HasPriority != 0 {
		c.octet(&f.Priority)
	}
	for _, n := range names {
		if f.Flags&n.flag != 0 {
			c.name(n.value)
		}
	}
	if f.Flags&HasTimestamp != 0 {
		c.longlong(&f.Timestamp)
	}
	last := [...]struct {
		flag  uint16
		value *[]byte
	}{
		{HasType, &f.Type}, {HasUserID, &f.UserID}, {HasAppID, &f.AppID},
		{HasClusterID, &f.ClusterID},
	}
	for _, n := range last {
		if f.Flags&n.flag != 0 {
			c.name(n.value)
		}
	}
}

// Read reads the properties out and says how many bytes they take.
func (f *Fields) Read(p Properties) (int, error) {
	*f = Fields{}
	if len(p) < 2 {
		return 0, errorf(FrameError, "properties end within their flags")
	}
	f.Flags = binary.BigEndian.Uint16(p)
	if f.Flags&(propertiesMore|propertiesUnknown) != 0 {
		return 0, errorf(SyntaxError, "unknown property flags %#x", f.Flags)
	}
	c := coder{b: p[2:]}
	f.code(&c)
	if c.err != nil {
		return 0, c.err
	}
	return len(p) - len(c.b), nil
}

// Append appends the properties: flags, then values.
func (f *Fields) Append(dst []byte) Properties {
	c := coder{b: binary.BigEndian.AppendUint16(dst, f.Flags), writing: true}
	f.code(&c)
	return c.b
}

// Header is a content header.
type Header struct {
	Class    uint16
	Weight   uint16 // must be 0
	BodySize uint64
	Raw      Properties
}

// ParseHeader reads the payload of a header frame, its properties into f.
func ParseHeader(payload []byte, f *Fields) (Header, error) {
	if len(payload) < 14 {
		return Header{}, errorf(FrameError, "content header of %d bytes", len(payload))
	}
	h := Header{Class: binary.BigEndian.Uint16(payload), Weight: binary.BigEndian.Uint16(payload[2:]),
		BodySize: binary.BigEndian.Uint64(payload[4:])}
	n, err := f.Read(payload[12:])
	if err != nil {
		return h, err
	}
	h.Raw = payload[12 : 12+n : 12+n]
	return h, nil
}
