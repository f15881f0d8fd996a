package wire

// BasicQos is a method.
type BasicQos struct {
	PrefetchSize  uint32
	PrefetchCount uint16
	Global        bool
}

// ID gives the method's number.
func (*BasicQos) ID() ID { return IDBasicQos }

func (m *BasicQos) code(c *coder) {
	c.long(&m.PrefetchSize)
	c.short(&m.PrefetchCount)
	c.bit(&m.Global)
}

// BasicQosOk is a method.
type BasicQosOk struct{}

// ID gives the method's number.
func (*BasicQosOk) ID() ID { return IDBasicQosOk }

func (*BasicQosOk) code(*coder) {}

// BasicConsume is a method.
type BasicConsume struct {
	Queue     string
	Tag       string
	NoLocal   bool
	NoAck     bool
	Exclusive bool
	NoWait    bool
	Arguments Table
}

// ID gives the method's number.
func (*BasicConsume) ID() ID { return IDBasicConsume }

func (m *BasicConsume) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Queue)
	c.str(&m.Tag)
	c.bit(&m.NoLocal)
	c.bit(&m.NoAck)
	c.bit(&m.Exclusive)
	c.bit(&m.NoWait)
	c.table(&m.Arguments)
}

// BasicConsumeOk is a method.
type BasicConsumeOk struct {
	Tag string
}

// ID gives the method's number.
func (*BasicConsumeOk) ID() ID { return IDBasicConsumeOk }

func (m *BasicConsumeOk) code(c *coder) {
	c.str(&m.Tag)
}

// BasicCancel is a method.
type BasicCancel struct {
	Tag    string
	NoWait bool
}

// ID gives the method's number.
func (*BasicCancel) ID() ID { return IDBasicCancel }

func (m *BasicCancel) code(c *coder) {
	c.str(&m.Tag)
	c.bit(&m.NoWait)
}

// BasicCancelOk is a method.
type BasicCancelOk struct {
	Tag string
}

// ID gives the method's number.
func (*BasicCancelOk) ID() ID { return IDBasicCancelOk }

func (m *BasicCancelOk) code(c *coder) {
	c.str(&m.Tag)
}

// BasicPublish is a method.
type BasicPublish struct {
	Exchange   []byte
	RoutingKey []byte
	Mandatory  bool
	Immediate  bool
}

// ID gives the method's number.
func (*BasicPublish) ID() ID { return IDBasicPublish }

func (m *BasicPublish) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.name(&m.Exchange)
	c.name(&m.RoutingKey)
	c.bit(&m.Mandatory)
	c.bit(&m.Immediate)
}

// BasicReturn is a method.
type BasicReturn struct {
	Code       uint16
	Text       string
	Exchange   []byte
	RoutingKey []byte
}

// ID gives the method's number.
func (*BasicReturn) ID() ID { return IDBasicReturn }

func (m *BasicReturn) code(c *coder) {
	c.short(&m.Code)
	c.str(&m.Text)
	c.name(&m.Exchange)
	c.name(&m.RoutingKey)
}

// BasicDeliver is a method.
type BasicDeliver struct {
	Tag         string
	DeliveryTag uint64
	Redelivered bool
	Exchange    []byte
	RoutingKey  []byte
}

// ID gives the method's number.
func (*BasicDeliver) ID() ID { return IDBasicDeliver }

func (m *BasicDeliver) code(c *coder) {
	c.str(&m.Tag)
	c.longlong(&m.DeliveryTag)
	c.bit(&m.Redelivered)
	c.name(&m.Exchange)
	c.name(&m.RoutingKey)
}

// BasicGet is a method.
type BasicGet struct {
	Queue string
	NoAck bool
}

// ID gives the method's number.
func (*BasicGet) ID() ID { return IDBasicGet }

func (m *BasicGet) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Queue)
	c.bit(&m.NoAck)
}

// BasicGetOk is a method.
type BasicGetOk struct {
	DeliveryTag uint64
	Redelivered bool
	Exchange    []byte
	RoutingKey  []byte
	Messages    uint32
}

// ID gives the method's number.
func (*BasicGetOk) ID() ID { return IDBasicGetOk }

func (m *BasicGetOk) code(c *coder) {
	c.longlong(&m.DeliveryTag)
	c.bit(&m.Redelivered)
	c.name(&m.Exchange)
	c.name(&m.RoutingKey)
	c.long(&m.Messages)
}

// BasicGetEmpty is a method.
type BasicGetEmpty struct{}

// ID gives the method's number.
func (*BasicGetEmpty) ID() ID { return IDBasicGetEmpty }

func (*BasicGetEmpty) code(c *coder) {
	c.str(new(string)) // reserved
}

// BasicAck is a method.
type BasicAck struct {
	DeliveryTag uint64
	Multiple    bool
}

// ID gives the method's number.
func (*BasicAck) ID() ID { return IDBasicAck }

func (m *BasicAck) code(c *coder) {
	c.longlong(&m.DeliveryTag)
	c.bit(&m.Multiple)
}

// BasicReject is a method.
type BasicReject struct {
	DeliveryTag uint64
	Requeue     bool
}

// ID gives the method's number.
func (*BasicReject) ID() ID { return IDBasicReject }

func (m *BasicReject) code(c *coder) {
	c.longlong(&m.DeliveryTag)
	c.bit(&m.Requeue)
}

// BasicRecoverAsync is a method.
type BasicRecoverAsync struct {
	Requeue bool
}

// ID gives the method's number.
func (*BasicRecoverAsync) ID() ID { return IDBasicRecoverAsync }

func (m *BasicRecoverAsync) code(c *coder) {
	c.bit(&m.Requeue)
}

// BasicRecover is a method.
type BasicRecover struct {
	Requeue bool
}

// ID gives the method's number.
func (*BasicRecover) ID() ID { return IDBasicRecover }

func (m *BasicRecover) code(c *coder) {
	c.bit(&m.Requeue)
}

// BasicRecoverOk is a method.
type BasicRecoverOk struct{}

// ID gives the method's number.
func (*BasicRecoverOk) ID() ID { return IDBasicRecoverOk }

func (*BasicRecoverOk) code(*coder) {}

// BasicNack is a method.
type BasicNack struct {
	DeliveryTag uint64
	Multiple    bool
	Requeue     bool
}

// ID gives the method's number.
func (*BasicNack) ID() ID { return IDBasicNack }

func (m *BasicNack) code(c *coder) {
	c.longlong(&m.DeliveryTag)
	c.bit(&m.Multiple)
	c.bit(&m.Requeue)
}

// ConfirmSelect is a method.
type ConfirmSelect struct {
	NoWait bool
}

// ID gives the method's number.
func (*ConfirmSelect) ID() ID { return IDConfirmSelect }

func (m *ConfirmSelect) code(c *coder) {
	c.bit(&m.NoWait)
}

// ConfirmSelectOk is a method.
type ConfirmSelectOk struct{}

// ID gives the method's number.
func (*ConfirmSelectOk) ID() ID { return IDConfirmSelectOk }

func (*ConfirmSelectOk) code(*coder) {}

// TxSelect is a method.
type TxSelect struct{}

// ID gives the method's number.
func (*TxSelect) ID() ID { return IDTxSelect }

func (*TxSelect) code(*coder) {}

// TxSelectOk is a method.
type TxSelectOk struct{}

// ID gives the method's number.
func (*TxSelectOk) ID() ID { return IDTxSelectOk }

func (*TxSelectOk) code(*coder) {}

// TxCommit is a method.
type TxCommit struct{}

// ID gives the method's number.
func (*TxCommit) ID() ID { return IDTxCommit }

func (*TxCommit) code(*coder) {}

// TxCommitOk is a method.
type TxCommitOk struct{}

// ID gives the method's number.
func (*TxCommitOk) ID() ID { return IDTxCommitOk }

func (*TxCommitOk) code(*coder) {}

// TxRollback is a method.
type TxRollback struct{}

// ID gives the method's number.
func (*TxRollback) ID() ID { return IDTxRollback }

func (*TxRollback) code(*coder) {}

// TxRollbackOk is a method.
type TxRollbackOk struct{}

// ID gives the method's number.
func (*TxRollbackOk) ID() ID { return IDTxRollbackOk }

func (*TxRollbackOk) code(*coder) {}
