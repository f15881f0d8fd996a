package wire

import (
	"encoding/binary"
	"fmt"
)

// ID is a method's number: its class in the upper half, the method in the lower.
type ID uint32

// Class gives the class.
func (i ID) Class() uint16 { return uint16(i >> 16) }

// Method gives the number within the class.
func (i ID) Method() uint16 { return uint16(i) }

// Method is one of the method types of this package. Its short strings are strings
// or, in the methods that carry messages, bytes that alias the frame.
type Method interface {
	ID() ID
	code(c *coder)
}

// The methods.
const (
	IDConnectionStart          ID = 10<<16 | 10
	IDConnectionStartOk        ID = 10<<16 | 11
	IDConnectionSecure         ID = 10<<16 | 20
	IDConnectionSecureOk       ID = 10<<16 | 21
	IDConnectionTune           ID = 10<<16 | 30
	IDConnectionTuneOk         ID = 10<<16 | 31
	IDConnectionOpen           ID = 10<<16 | 40
	IDConnectionOpenOk         ID = 10<<16 | 41
	IDConnectionClose          ID = 10<<16 | 50
	IDConnectionCloseOk        ID = 10<<16 | 51
	IDConnectionBlocked        ID = 10<<16 | 60
	IDConnectionUnblocked      ID = 10<<16 | 61
	IDConnectionUpdateSecret   ID = 10<<16 | 70
	IDConnectionUpdateSecretOk ID = 10<<16 | 71
	IDChannelOpen              ID = 20<<16 | 10
	IDChannelOpenOk            ID = 20<<16 | 11
	IDChannelFlow              ID = 20<<16 | 20
	IDChannelFlowOk            ID = 20<<16 | 21
	IDChannelClose             ID = 20<<16 | 40
	IDChannelCloseOk           ID = 20<<16 | 41
	IDAccessRequest            ID = 30<<16 | 10
	IDAccessRequestOk          ID = 30<<16 | 11
	IDExchangeDeclare          ID = 40<<16 | 10
	IDExchangeDeclareOk        ID = 40<<16 | 11
	IDExchangeDelete           ID = 40<<16 | 20
	IDExchangeDeleteOk         ID = 40<<16 | 21
	IDExchangeBind             ID = 40<<16 | 30
	IDExchangeBindOk           ID = 40<<16 | 31
	IDExchangeUnbind           ID = 40<<16 | 40
	IDExchangeUnbindOk         ID = 40<<16 | 51
	IDQueueDeclare             ID = 50<<16 | 10
	IDQueueDeclareOk           ID = 50<<16 | 11
	IDQueueBind                ID = 50<<16 | 20
	IDQueueBindOk              ID = 50<<16 | 21
	IDQueuePurge               ID = 50<<16 | 30
	IDQueuePurgeOk             ID = 50<<16 | 31
	IDQueueDelete              ID = 50<<16 | 40
	IDQueueDeleteOk            ID = 50<<16 | 41
	IDQueueUnbind              ID = 50<<16 | 50
	IDQueueUnbindOk            ID = 50<<16 | 51
	IDBasicQos                 ID = 60<<16 | 10
	IDBasicQosOk               ID = 60<<16 | 11
	IDBasicConsume             ID = 60<<16 | 20
	IDBasicConsumeOk           ID = 60<<16 | 21
	IDBasicCancel              ID = 60<<16 | 30
	IDBasicCancelOk            ID = 60<<16 | 31
	IDBasicPublish             ID = 60<<16 | 40
	IDBasicReturn              ID = 60<<16 | 50
	IDBasicDeliver             ID = 60<<16 | 60
	IDBasicGet                 ID = 60<<16 | 70
	IDBasicGetOk               ID = 60<<16 | 71
	IDBasicGetEmpty            ID = 60<<16 | 72
	IDBasicAck                 ID = 60<<16 | 80
	IDBasicReject              ID = 60<<16 | 90
	IDBasicRecoverAsync        ID = 60<<16 | 100
	IDBasicRecover             ID = 60<<16 | 110
	IDBasicRecoverOk           ID = 60<<16 | 111
	IDBasicNack                ID = 60<<16 | 120
	IDConfirmSelect            ID = 85<<16 | 10
	IDConfirmSelectOk          ID = 85<<16 | 11
	IDTxSelect                 ID = 90<<16 | 10
	IDTxSelectOk               ID = 90<<16 | 11
	IDTxCommit                 ID = 90<<16 | 20
	IDTxCommitOk               ID = 90<<16 | 21
	IDTxRollback               ID = 90<<16 | 30
	IDTxRollbackOk             ID = 90<<16 | 31
)

// newMethod gives an empty method, or nil where the number is unknown.
func newMethod(id ID) Method {
	switch id {
	case IDConnectionStart:
		return &ConnectionStart{}
	case IDConnectionStartOk:
		return &ConnectionStartOk{}
	case IDConnectionSecure:
		return &ConnectionSecure{}
	case IDConnectionSecureOk:
		return &ConnectionSecureOk{}
	case IDConnectionTune:
		return &ConnectionTune{}
	case IDConnectionTuneOk:
		return &ConnectionTuneOk{}
	case IDConnectionOpen:
		return &ConnectionOpen{}
	case IDConnectionOpenOk:
		return &ConnectionOpenOk{}
	case IDConnectionClose:
		return &ConnectionClose{}
	case IDConnectionCloseOk:
		return &ConnectionCloseOk{}
	case IDConnectionBlocked:
		return &ConnectionBlocked{}
	case IDConnectionUnblocked:
		return &ConnectionUnblocked{}
	case IDConnectionUpdateSecret:
		return &ConnectionUpdateSecret{}
	case IDConnectionUpdateSecretOk:
		return &ConnectionUpdateSecretOk{}
	case IDChannelOpen:
		return &ChannelOpen{}
	case IDChannelOpenOk:
		return &ChannelOpenOk{}
	case IDChannelFlow:
		return &ChannelFlow{}
	case IDChannelFlowOk:
		return &ChannelFlowOk{}
	case IDChannelClose:
		return &ChannelClose{}
	case IDChannelCloseOk:
		return &ChannelCloseOk{}
	case IDAccessRequest:
		return &AccessRequest{}
	case IDAccessRequestOk:
		return &AccessRequestOk{}
	case IDExchangeDeclare:
		return &ExchangeDeclare{}
	case IDExchangeDeclareOk:
		return &ExchangeDeclareOk{}
	case IDExchangeDelete:
		return &ExchangeDelete{}
	case IDExchangeDeleteOk:
		return &ExchangeDeleteOk{}
	case IDExchangeBind:
		return &ExchangeBind{}
	case IDExchangeBindOk:
		return &ExchangeBindOk{}
	case IDExchangeUnbind:
		return &ExchangeUnbind{}
	case IDExchangeUnbindOk:
		return &ExchangeUnbindOk{}
	case IDQueueDeclare:
		return &QueueDeclare{}
	case IDQueueDeclareOk:
		return &QueueDeclareOk{}
	case IDQueueBind:
		return &QueueBind{}
	case IDQueueBindOk:
		return &QueueBindOk{}
	case IDQueuePurge:
		return &QueuePurge{}
	case IDQueuePurgeOk:
		return &QueuePurgeOk{}
	case IDQueueDelete:
		return &QueueDelete{}
	case IDQueueDeleteOk:
		return &QueueDeleteOk{}
	case IDQueueUnbind:
		return &QueueUnbind{}
	case IDQueueUnbindOk:
		return &QueueUnbindOk{}
	case IDBasicQos:
		return &BasicQos{}
	case IDBasicQosOk:
		return &BasicQosOk{}
	case IDBasicConsume:
		return &BasicConsume{}
	case IDBasicConsumeOk:
		return &BasicConsumeOk{}
	case IDBasicCancel:
		return &BasicCancel{}
	case IDBasicCancelOk:
		return &BasicCancelOk{}
	case IDBasicPublish:
		return &BasicPublish{}
	case IDBasicReturn:
		return &BasicReturn{}
	case IDBasicDeliver:
		return &BasicDeliver{}
	case IDBasicGet:
		return &BasicGet{}
	case IDBasicGetOk:
		return &BasicGetOk{}
	case IDBasicGetEmpty:
		return &BasicGetEmpty{}
	case IDBasicAck:
		return &BasicAck{}
	case IDBasicReject:
		return &BasicReject{}
	case IDBasicRecoverAsync:
		return &BasicRecoverAsync{}
	case IDBasicRecover:
		return &BasicRecover{}
	case IDBasicRecoverOk:
		return &BasicRecoverOk{}
	case IDBasicNack:
		return &BasicNack{}
	case IDConfirmSelect:
		return &ConfirmSelect{}
	case IDConfirmSelectOk:
		return &ConfirmSelectOk{}
	case IDTxSelect:
		return &TxSelect{}
	case IDTxSelectOk:
		return &TxSelectOk{}
	case IDTxCommit:
		return &TxCommit{}
	case IDTxCommitOk:
		return &TxCommitOk{}
	case IDTxRollback:
		return &TxRollback{}
	case IDTxRollbackOk:
		return &TxRollbackOk{}
	}
	return nil
}

// PeekID gives the number of the method in a method frame's payload, or 0.
func PeekID(payload []byte) ID {
	if len(payload) < 4 {
		return 0
	}
	return ID(binary.BigEndian.Uint32(payload))
}

// ParseMethod reads the payload of a method frame. Bytes beyond the last field are
// passed over, as RabbitMQ does.
func ParseMethod(payload []byte) (Method, error) {
	id := PeekID(payload)
	m := newMethod(id)
	if m == nil {
		return nil, &Error{Code: NotImplemented, ID: id,
			Text: fmt.Sprintf("unknown method %d.%d", id.Class(), id.Method())}
	}
	if err := decode(m, payload); err != nil {
		return nil, err
	}
	return m, nil
}

// decode reads a method whose number is known.
func decode(m Method, payload []byte) error {
	c := coder{b: payload[4:]}
	m.code(&c)
	if c.err != nil {
		c.err.ID = m.ID()
		return c.err
	}
	return nil
}

// AppendMethod appends a method as a whole frame.
func AppendMethod(dst []byte, channel uint16, m Method) []byte {
	dst, at := begin(dst, FrameMethod, channel)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.ID()))
	c := coder{b: dst, writing: true}
	m.code(&c)
	c.flushBits()
	return finish(c.b, at)
}
