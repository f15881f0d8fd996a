package kafka

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"trine/internal/core"
	"trine/internal/core/record"
)

// kind says what values a setting takes.
type kind int8

const (
	kindBool kind = iota + 1
	kindString
	kindInt
	kindShort
	kindLong
	kindDouble
	kindList
)

// setting is one topic setting.
type setting struct {
	name     string
	kind     kind
	def      string // its default; min.insync.replicas takes the node's
	low      float64
	high     float64
	oneOf    []string
	set      func(s *settings, v string, n float64) // nil: kept and shown, without effect
	synonym  string                                 // the broker's name for it
	internal bool
}

// settings are a topic's settings, as they act.
type settings struct {
	written map[string]string // as they were given

	majority    bool
	minInSync   int // 0: the node's default
	unclean     bool
	flushEach   bool
	compact     bool
	retain      bool // cleanup.policy has "delete"
	retentionMs int64
	keep        core.Keep
	codec       record.Codec
	producers   bool // the codec is the producer's
	recordsMax  int  // max.message.bytes
	appendTime  bool
	beforeMsMax int64
	afterMsMax  int64
}

const (
	maxInt  = float64(math.MaxInt32)
	maxLong = float64(math.MaxInt64)
	hourMs  = 3600 * 1000
)

// settingTable is ordered by name.
var settingTable = []setting{
	{name: "cleanup.policy", kind: kindList, def: "delete", oneOf: []string{"compact", "delete"},
		synonym: "log.cleanup.policy", set: func(s *settings, v string, _ float64) {
			s.compact, s.retain = listHas(v, "compact"), listHas(v, "delete")
		}},
	{name: "compression.gzip.level", kind: kindInt, def: "-1", low: -1, high: 9},
	{name: "compression.lz4.level", kind: kindInt, def: "9", low: 1, high: 17},
	{name: "compression.type", kind: kindString, def: "producer", synonym: "compression.type",
		oneOf: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"},
		set: func(s *settings, v string, _ float64) {
			s.producers = v == "producer"
			s.codec = map[string]record.Codec{"zstd": record.Zstd, "lz4": record.LZ4,
				"snappy": record.Snappy, "gzip": record.Gzip}[v]
		}},
	{name: "compression.zstd.level", kind: kindInt, def: "3", low: -131072, high: 22},
	{name: "delete.retention.ms", kind: kindLong, def: "86400000", high: maxLong,
		synonym: "log.cleaner.delete.retention.ms",
		set:     func(s *settings, _ string, n float64) { s.keep.TombstoneMs = int64(n) }},
	{name: "file.delete.delay.ms", kind: kindLong, def: "60000", high: maxLong},
	{name: "flush.messages", kind: kindLong, def: "9223372036854775807", low: 1, high: maxLong,
		synonym: "log.flush.interval.messages",
		set:     func(s *settings, _ string, n float64) { s.flushEach = n == 1 }},
	{name: "flush.ms", kind: kindLong, def: "9223372036854775807", high: maxLong,
		synonym: "log.flush.interval.ms"},
	{name: "follower.replication.throttled.replicas", kind: kindList, def: ""},
	{name: "index.interval.bytes", kind: kindInt, def: "4096", high: maxInt},
	{name: "leader.replication.throttled.replicas", kind: kindList, def: ""},
	{name: "local.retention.bytes", kind: kindLong, def: "-2", low: -2, high: maxLong},
	{name: "local.retention.ms", kind: kindLong, def: "-2", low: -2, high: maxLong},
	{name: "max.compaction.lag.ms", kind: kindLong, def: "9223372036854775807", low: 1, high: maxLong},
	{name: "max.message.bytes", kind: kindInt, def: "1048588", high: maxInt,
		synonym: "message.max.bytes",
		set:     func(s *settings, _ string, n float64) { s.recordsMax = int(n) }},
	{name: "message.timestamp.after.max.ms", kind: kindLong, def: strconv.Itoa(hourMs), high: maxLong,
		set: func(s *settings, _ string, n float64) { s.afterMsMax = long(n) }},
	{name: "message.timestamp.before.max.ms", kind: kindLong, def: "9223372036854775807",
		high: maxLong,
		set:  func(s *settings, _ string, n float64) { s.beforeMsMax = long(n) }},
	{name: "message.timestamp.type", kind: kindString, def: "CreateTime",
		oneOf: []string{"CreateTime", "LogAppendTime"},
		set:   func(s *settings, v string, _ float64) { s.appendTime = v == "LogAppendTime" }},
	{name: "min.cleanable.dirty.ratio", kind: kindDouble, def: "0.5", high: 1,
		synonym: "log.cleaner.min.cleanable.ratio",
		set:     func(s *settings, _ string, n float64) { s.keep.DirtyRatio = float32(n) }},
	{name: "min.compaction.lag.ms", kind: kindLong, def: "0", high: maxLong,
		set: func(s *settings, _ string, n float64) { s.keep.CompactLagMs = long(n) }},
	{name: "min.insync.replicas", kind: kindInt, def: "1", low: 1, high: 7,
		synonym: "min.insync.replicas",
		set:     func(s *settings, _ string, n float64) { s.minInSync = int(n) }},
	{name: "preallocate", kind: kindBool, def: "false"},
	{name: "remote.log.copy.disable", kind: kindBool, def: "false"},
	{name: "remote.log.delete.on.disable", kind: kindBool, def: "false"},
	{name: "remote.storage.enable", kind: kindBool, def: "false", oneOf: []string{"false"}},
	{name: "retention.bytes", kind: kindLong, def: "-1", low: -1, high: maxLong,
		synonym: "log.retention.bytes",
		set:     func(s *settings, _ string, n float64) { s.keep.BytesMax = limit(n) }},
	{name: "retention.ms", kind: kindLong, def: "604800000", low: -1, high: maxLong,
		synonym: "log.retention.ms",
		set:     func(s *settings, _ string, n float64) { s.retentionMs = limit(n) }},
	{name: "segment.bytes", kind: kindInt, def: "1073741824", low: 1 << 20, high: maxInt,
		synonym: "log.segment.bytes",
		set:     func(s *settings, _ string, n float64) { s.keep.SegmentBytes = int64(n) }},
	{name: "segment.index.bytes", kind: kindInt, def: "10485760", low: 4, high: maxInt},
	{name: "segment.jitter.ms", kind: kindLong, def: "0", high: maxLong},
	{name: "segment.ms", kind: kindLong, def: "604800000", low: 1, high: maxLong,
		synonym: "log.roll.ms",
		set:     func(s *settings, _ string, n float64) { s.keep.SegmentMs = long(n) }},
	{name: "trine.mode", kind: kindString, def: "in-sync", oneOf: []string{"in-sync", "majority"},
		set: func(s *settings, v string, _ float64) { s.majority = v == "majority" }},
	{name: "unclean.leader.election.enable", kind: kindBool, def: "false",
		synonym: "unclean.leader.election.enable",
		set:     func(s *settings, v string, _ float64) { s.unclean = v == "true" }},
}

func long(n float64) int64 {
	if n >= maxLong {
		return math.MaxInt64
	}
	return int64(n)
}

// limit gives a limit as core.Keep counts it: -1 is none there, and 0 is none here.
func limit(n float64) int64 {
	switch {
	case n < 0 || n >= maxLong:
		return 0
	case n == 0:
		return 1
	}
	return int64(n)
}

func listHas(list, want string) bool {
	return slices.ContainsFunc(strings.Split(list, ","),
		func(v string) bool { return strings.TrimSpace(v) == want })
}

func findSetting(name string) *setting {
	i, ok := slices.BinarySearchFunc(settingTable, name, func(s setting,
		n string) int {
		return strings.Compare(s.name, n)
	})
	if !ok {
		return nil
	}
	return &settingTable[i]
}

// errSetting is a setting that is refused; its text is for the client.
type errSetting string

func (e errSetting) Error() string { return string(e) }

// parse checks a value and gives it as a number where it is one.
func (d *setting) parse(v string) (float64, error) {
	v = strings.TrimSpace(v)
	fault := func(why string) error {
		return errSetting(fmt.Sprintf("Invalid value %s for configuration %s: %s", v, d.name, why))
	}
	var n float64
	switch d.kind {
	case kindBool:
		if v != "true" && v != "false" {
			return 0, fault("Expected value to be either true or false")
		}
	case kindInt, kindShort, kindLong:
		bits := map[kind]int{kindInt: 32, kindShort: 16, kindLong: 64}[d.kind]
		i, err := strconv.ParseInt(v, 10, bits)
		if err != nil {
			return 0, fault("Not a number of its type")
		}
		n = float64(i)
	case kindDouble:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || f != f {
			return 0, fault("Not a number of type DOUBLE")
		}
		n = f
	case kindList:
		for _, item := range strings.Split(v, ",") {
			if item = strings.TrimSpace(item); len(d.oneOf) > 0 && !slices.Contains(d.oneOf, item) {
				return 0, fault("String must be one of: " + strings.Join(d.oneOf, ", "))
			}
		}
		return 0, nil
	}
	switch {
	case len(d.oneOf) > 0 && !slices.Contains(d.oneOf, v):
		return 0, fault("String must be one of: " + strings.Join(d.oneOf, ", "))
	case d.high != 0 && n < d.low:
		return 0, fault(fmt.Sprintf("Value must be at least %v", d.low))
	case d.high != 0 && n > d.high:
		return 0, fault(fmt.Sprintf("Value must be at most %v", d.high))
	}
	return n, nil
}

// parseSettings checks what was written, and gives all settings with the defaults.
func parseSettings(written map[string]string) (settings, error) {
	s := settings{written: written}
	for i := range settingTable {
		d := &settingTable[i]
		v, own := written[d.name]
		if !own {
			v = d.def
		}
		n, err := d.parse(v)
		if err != nil {
			return s, err
		}
		if d.set != nil && (own || d.name != "min.insync.replicas") && !(d.name == "segment.bytes" &&
			!own) {
			d.set(&s, strings.TrimSpace(v), n)
		}
	}
	for name := range written {
		if findSetting(name) == nil {
			return s, errSetting("Unknown topic config name: " + name)
		}
	}
	s.keep.Compact = s.compact
	if s.retain {
		s.keep.MsMax = s.retentionMs
	} else {
		s.keep.BytesMax = 0
	}
	return s, nil
}

// policy gives the policy of the topic's streams for so many copies. The minimum
// is never above the copies, as in Kafka.
func (s *settings) policy(copies, minDefault int) core.Policy {
	if s.majority {
		return core.Majority(copies)
	}
	least := s.minInSync
	if least == 0 {
		least = minDefault
	}
	flush := core.FlushLazy
	if s.flushEach {
		flush = core.FlushEach
	}
	p := core.InSync(copies, min(least, copies), flush)
	if s.unclean {
		p.Election = core.ElectAny
	}
	return p
}
