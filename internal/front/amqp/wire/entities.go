package wire

// ExchangeDeclare is a method.
type ExchangeDeclare struct {
	Exchange   string
	Type       string
	Passive    bool
	Durable    bool
	AutoDelete bool
	Internal   bool
	NoWait     bool
	Arguments  Table
}

// ID gives the method's number.
func (*ExchangeDeclare) ID() ID { return IDExchangeDeclare }

func (m *ExchangeDeclare) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Exchange)
	c.str(&m.Type)
	c.bit(&m.Passive)
	c.bit(&m.Durable)
	c.bit(&m.AutoDelete)
	c.bit(&m.Internal)
	c.bit(&m.NoWait)
	c.table(&m.Arguments)
}

// ExchangeDeclareOk is a method.
type ExchangeDeclareOk struct{}

// ID gives the method's number.
func (*ExchangeDeclareOk) ID() ID { return IDExchangeDeclareOk }

func (*ExchangeDeclareOk) code(*coder) {}

// ExchangeDelete is a method.
type ExchangeDelete struct {
	Exchange string
	IfUnused bool
	NoWait   bool
}

// ID gives the method's number.
func (*ExchangeDelete) ID() ID { return IDExchangeDelete }

func (m *ExchangeDelete) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Exchange)
	c.bit(&m.IfUnused)
	c.bit(&m.NoWait)
}

// ExchangeDeleteOk is a method.
type ExchangeDeleteOk struct{}

// ID gives the method's number.
func (*ExchangeDeleteOk) ID() ID { return IDExchangeDeleteOk }

func (*ExchangeDeleteOk) code(*coder) {}

// ExchangeBind is a method.
type ExchangeBind struct {
	Destination string
	Source      string
	RoutingKey  string
	NoWait      bool
	Arguments   Table
}

// ID gives the method's number.
func (*ExchangeBind) ID() ID { return IDExchangeBind }

func (m *ExchangeBind) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Destination)
	c.str(&m.Source)
	c.str(&m.RoutingKey)
	c.bit(&m.NoWait)
	c.table(&m.Arguments)
}

// ExchangeBindOk is a method.
type ExchangeBindOk struct{}

// ID gives the method's number.
func (*ExchangeBindOk) ID() ID { return IDExchangeBindOk }

func (*ExchangeBindOk) code(*coder) {}

// ExchangeUnbind is a method.
type ExchangeUnbind struct {
	Destination string
	Source      string
	RoutingKey  string
	NoWait      bool
	Arguments   Table
}

// ID gives the method's number.
func (*ExchangeUnbind) ID() ID { return IDExchangeUnbind }

func (m *ExchangeUnbind) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Destination)
	c.str(&m.Source)
	c.str(&m.RoutingKey)
	c.bit(&m.NoWait)
	c.table(&m.Arguments)
}

// ExchangeUnbindOk is a method.
type ExchangeUnbindOk struct{}

// ID gives the method's number.
func (*ExchangeUnbindOk) ID() ID { return IDExchangeUnbindOk }

func (*ExchangeUnbindOk) code(*coder) {}

// QueueDeclare is a method.
type QueueDeclare struct {
	Queue      string
	Passive    bool
	Durable    bool
	Exclusive  bool
	AutoDelete bool
	NoWait     bool
	Arguments  Table
}

// ID gives the method's number.
func (*QueueDeclare) ID() ID { return IDQueueDeclare }

func (m *QueueDeclare) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Queue)
	c.bit(&m.Passive)
	c.bit(&m.Durable)
	c.bit(&m.Exclusive)
	c.bit(&m.AutoDelete)
	c.bit(&m.NoWait)
	c.table(&m.Arguments)
}

// QueueDeclareOk is a method.
type QueueDeclareOk struct {
	Queue     string
	Messages  uint32
	Consumers uint32
}

// ID gives the method's number.
func (*QueueDeclareOk) ID() ID { return IDQueueDeclareOk }

func (m *QueueDeclareOk) code(c *coder) {
	c.str(&m.Queue)
	c.long(&m.Messages)
	c.long(&m.Consumers)
}

// QueueBind is a method.
type QueueBind struct {
	Queue      string
	Exchange   string
	RoutingKey string
	NoWait     bool
	Arguments  Table
}

// ID gives the method's number.
func (*QueueBind) ID() ID { return IDQueueBind }

func (m *QueueBind) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Queue)
	c.str(&m.Exchange)
	c.str(&m.RoutingKey)
	c.bit(&m.NoWait)
	c.table(&m.Arguments)
}

// QueueBindOk is a method.
type QueueBindOk struct{}

// ID gives the method's number.
func (*QueueBindOk) ID() ID { return IDQueueBindOk }

func (*QueueBindOk) code(*coder) {}

// QueuePurge is a method.
type QueuePurge struct {
	Queue  string
	NoWait bool
}

// ID gives the method's number.
func (*QueuePurge) ID() ID { return IDQueuePurge }

func (m *QueuePurge) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Queue)
	c.bit(&m.NoWait)
}

// QueuePurgeOk is a method.
type QueuePurgeOk struct {
	Messages uint32
}

// ID gives the method's number.
func (*QueuePurgeOk) ID() ID { return IDQueuePurgeOk }

func (m *QueuePurgeOk) code(c *coder) {
	c.long(&m.Messages)
}

// QueueDelete is a method.
type QueueDelete struct {
	Queue    string
	IfUnused bool
	IfEmpty  bool
	NoWait   bool
}

// ID gives the method's number.
func (*QueueDelete) ID() ID { return IDQueueDelete }

func (m *QueueDelete) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Queue)
	c.bit(&m.IfUnused)
	c.bit(&m.IfEmpty)
	c.bit(&m.NoWait)
}

// QueueDeleteOk is a method.
type QueueDeleteOk struct {
	Messages uint32
}

// ID gives the method's number.
func (*QueueDeleteOk) ID() ID { return IDQueueDeleteOk }

func (m *QueueDeleteOk) code(c *coder) {
	c.long(&m.Messages)
}

// QueueUnbind is a method.
type QueueUnbind struct {
	Queue      string
	Exchange   string
	RoutingKey string
	Arguments  Table
}

// ID gives the method's number.
func (*QueueUnbind) ID() ID { return IDQueueUnbind }

func (m *QueueUnbind) code(c *coder) {
	c.short(new(uint16)) // reserved
	c.str(&m.Queue)
	c.str(&m.Exchange)
	c.str(&m.RoutingKey)
	c.table(&m.Arguments)
}

// QueueUnbindOk is a method.
type QueueUnbindOk struct{}

// ID gives the method's number.
func (*QueueUnbindOk) ID() ID { return IDQueueUnbindOk }

func (*QueueUnbindOk) code(*coder) {}
