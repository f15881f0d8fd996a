package wire

// Codes of requests. Those of clients to brokers come first, then to NameServers,
// then of administrators, then of brokers to clients.
const (
	SendMessage          = 10
	PullMessage          = 11
	QueryMessage         = 12
	QueryConsumerOffset  = 14
	UpdateConsumerOffset = 15
	SearchOffset         = 29
	MaxOffset            = 30
	MinOffset            = 31
	EarliestStamp        = 32
	ViewMessage          = 33
	HeartBeat            = 34
	UnregisterClient     = 35
	SendMessageBack      = 36
	EndTransaction       = 37
	ConsumerList         = 38
	LockQueues           = 41
	UnlockQueues         = 42
	CheckClientConfig    = 46
	SendMessageV2        = 310
	SendBatch            = 320
	SendReply            = 324
	SendReplyV2          = 325
	LitePullMessage      = 361
	QueryAssignment      = 400

	PutKV              = 100
	GetKV              = 101
	DeleteKV           = 102
	RegisterBroker     = 103
	UnregisterBroker   = 104
	TopicRoute         = 105
	BrokerCluster      = 106
	WipeWritePerm      = 205
	AllTopicsNameSrv   = 206
	DeleteTopicNameSrv = 216
	RegisterTopic      = 217
	ListKV             = 219
	TopicsByCluster    = 224
	SystemTopics       = 304
	UnitTopics         = 311
	UnitSubTopics      = 312
	NonUnitSubTopics   = 313
	UpdateNameSrvConf  = 318
	GetNameSrvConf     = 319
	QueryDataVersion   = 322
	AddWritePerm       = 327

	CreateTopic        = 17
	AllTopicConfig     = 21
	UpdateBrokerConfig = 25
	GetBrokerConfig    = 26
	BrokerRuntimeInfo  = 28
	UpdateGroup        = 200
	AllGroups          = 201
	TopicStats         = 202
	ConsumerConns      = 203
	ProducerConns      = 204
	DeleteGroup        = 207
	ConsumeStats       = 208
	DeleteTopic        = 215
	ResetOffsets       = 222
	TopicConsumeByWho  = 300
	ConsumeTimeSpan    = 303
	SystemTopicsBroker = 305
	CloneOffsets       = 314
	BrokerStats        = 315
	BrokerConsumeStats = 317
	QueryCQ            = 321
	TopicsByConsumer   = 343
	TopicConfig        = 351
	GroupConfig        = 352

	CheckTransaction    = 39
	IdsChanged          = 40
	ResetClientOffsets  = 220
	ClientStatus        = 221
	ConsumerRunningInfo = 307
	ConsumeDirectly     = 309
	PushReply           = 326
)

// Codes of answers.
const (
	Success              = 0
	SystemError          = 1
	SystemBusy           = 2
	NotSupported         = 3
	FlushDiskTimeout     = 10
	SlaveNotAvailable    = 11
	FlushSlaveTimeout    = 12
	MessageIllegal       = 13
	ServiceNotAvailable  = 14
	VersionNotSupported  = 15
	NoPermission         = 16
	TopicNotExist        = 17
	TopicExists          = 18
	PullNotFound         = 19
	PullRetryNow         = 20
	PullOffsetMoved      = 21
	QueryNotFound        = 22
	SubscriptionParse    = 23
	SubscriptionNotExist = 24
	GroupNotExist        = 26
	InvalidParameter     = 29
	ConsumerNotOnline    = 206
)

// Bits of a header's flag.
const (
	FlagResponse = 1
	FlagOneway   = 2
)

// Bits of a message's system flag.
const (
	SysCompressed = 0x1
	SysMultiTags  = 0x2
	SysPrepared   = 0x4
	SysCommit     = 0x8
	SysRollback   = 0xC // both bits of a transaction
	SysBornV6     = 0x10
	SysStoreV6    = 0x20
	SysCodec      = 0x700 // which compression: 0 or 3 zlib, 1 LZ4, 2 zstd
)

// Bits of a pull's system flag.
const (
	PullCommit       = 1
	PullSuspend      = 2
	PullSubscription = 4
	PullClassFilter  = 8
	PullLite         = 16
)

// Bits of a topic's permission.
const (
	PermInherit = 1
	PermWrite   = 2
	PermRead    = 4
)

// Properties that brokers read or write.
const (
	PropKeys           = "KEYS"
	PropTags           = "TAGS"
	PropWait           = "WAIT"
	PropDelay          = "DELAY"
	PropRetryTopic     = "RETRY_TOPIC"
	PropRealTopic      = "REAL_TOPIC"
	PropRealQueue      = "REAL_QID"
	PropTranMsg        = "TRAN_MSG"
	PropProducerGroup  = "PGROUP"
	PropOriginID       = "ORIGIN_MESSAGE_ID"
	PropReconsume      = "RECONSUME_TIME"
	PropMaxReconsume   = "MAX_RECONSUME_TIMES"
	PropRegion         = "MSG_REGION"
	PropTrace          = "TRACE_ON"
	PropUniqueKey      = "UNIQ_KEY"
	PropShardingKey    = "__SHARDINGKEY"
	PropCluster        = "CLUSTER"
	PropTransactionID  = "__transactionId__"
	PropCheckTimes     = "TRANSACTION_CHECK_TIMES"
	PropCheckImmunity  = "CHECK_IMMUNITY_TIME_IN_SECONDS"
	PropPreparedOffset = "TRAN_PREPARED_QUEUE_OFFSET"
	PropDelaySeconds   = "TIMER_DELAY_SEC"
	PropDelayMs        = "TIMER_DELAY_MS"
	PropDeliverMs      = "TIMER_DELIVER_MS"
	PropTimerOut       = "TIMER_OUT_MS"
	PropCorrelation    = "CORRELATION_ID"
	PropReplyClient    = "REPLY_TO_CLIENT"
)

// ProtocolVersion is what answers bear: the ordinal of release 5.3.3. Clients
// refuse SQL92 filters and more towards brokers that say less.
const ProtocolVersion = 479

// LanguageJava is what answers bear: the one language that every client knows.
const LanguageJava = 0
