package kafka

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"trine/internal/core"
	"trine/internal/core/record"
)

// TestEveryKindHasItsCodes is the table of what a client is told. retry: franz-go
// asks again by itself, so nothing may have been done that must not be done twice.
func TestEveryKindHasItsCodes(t *testing.T) {
	table := []struct {
		kind                         core.Kind
		data, produce, group, admin  *kerr.Error
		produceRetries, groupRetries bool
	}{
		{core.OK, nil, nil, nil, nil, false, false},
		{core.Invalid, kerr.InvalidRequest, kerr.InvalidRequest, kerr.CoordinatorNotAvailable,
			kerr.InvalidRequest, false, true},
		{core.NotExist, kerr.UnknownTopicOrPartition, kerr.UnknownTopicOrPartition,
			kerr.NotCoordinator, kerr.UnknownTopicOrPartition, true, true},
		{core.Exist, kerr.TopicAlreadyExists, kerr.TopicAlreadyExists, kerr.CoordinatorNotAvailable,
			kerr.TopicAlreadyExists, false, true},
		{core.Conflict, kerr.FencedLeaderEpoch, kerr.NotLeaderForPartition, kerr.NotCoordinator,
			kerr.RequestTimedOut, true, true},
		{core.NotLeader, kerr.NotLeaderForPartition, kerr.NotLeaderForPartition, kerr.NotCoordinator,
			kerr.RequestTimedOut, true, true},
		{core.NoLeader, kerr.LeaderNotAvailable, kerr.LeaderNotAvailable, kerr.CoordinatorNotAvailable,
			kerr.RequestTimedOut, true, true},
		{core.Fenced, kerr.FencedLeaderEpoch, kerr.InvalidProducerEpoch, kerr.NotCoordinator,
			kerr.RequestTimedOut, false, true},
		{core.Refused, kerr.NotEnoughReplicas, kerr.NotEnoughReplicas, kerr.CoordinatorNotAvailable,
			kerr.RequestTimedOut, true, true},
		{core.OutOfRange, kerr.OffsetOutOfRange, kerr.OffsetOutOfRange, kerr.CoordinatorNotAvailable,
			kerr.RequestTimedOut, false, true},
		{core.OutOfOrder, kerr.OutOfOrderSequenceNumber, kerr.OutOfOrderSequenceNumber,
			kerr.CoordinatorNotAvailable, kerr.RequestTimedOut, false, true},
		{core.Duplicate, kerr.DuplicateSequenceNumber, nil, nil, kerr.RequestTimedOut, false, false},
		{core.Locked, kerr.InvalidRequest, kerr.InvalidRequest, kerr.CoordinatorNotAvailable,
			kerr.RequestTimedOut, false, true},
		{core.TooLarge, kerr.MessageTooLarge, kerr.MessageTooLarge, kerr.InvalidCommitOffsetSize,
			kerr.PolicyViolation, false, false},
		{core.Full, kerr.KafkaStorageError, kerr.KafkaStorageError, kerr.CoordinatorNotAvailable,
			kerr.KafkaStorageError, true, true},
		{core.Denied, kerr.TopicAuthorizationFailed, kerr.TopicAuthorizationFailed,
			kerr.TopicAuthorizationFailed, kerr.TopicAuthorizationFailed, false, false},
		{core.Shut, kerr.NotLeaderForPartition, kerr.NotLeaderForPartition, kerr.NotCoordinator,
			kerr.RequestTimedOut, true, true},
		{core.Unknown, kerr.RequestTimedOut, kerr.RequestTimedOut, kerr.CoordinatorNotAvailable,
			kerr.RequestTimedOut, true, true},
		{core.Unavailable, kerr.LeaderNotAvailable, kerr.LeaderNotAvailable,
			kerr.CoordinatorNotAvailable, kerr.RequestTimedOut, true, true},
	}
	if n := int(core.Unavailable) + 1; n != len(dataCodes) || n != len(table) {
		t.Fatalf("%d kinds in the test, %d in the table, %d in core", len(table), len(dataCodes),
			core.Unavailable+1)
	}
	for i, row := range table {
		if int(row.kind) != i {
			t.Fatalf("row %d is of kind %v", i, row.kind)
		}
		var err error
		if row.kind != core.OK {
			err = &core.Error{Op: "test", Kind: row.kind}
		}
		same := func(what string, code int16, want *kerr.Error) {
			t.Helper()
			if want == nil && code == 0 {
				return
			}
			if want == nil || code != want.Code {
				t.Errorf("%v: %s is told %v, not %v", row.kind, what, kerr.ErrorForCode(code), want)
			}
		}
		same("a reader", dataCode(err, 0), row.data)
		same("a producer", produceCode(err, false), row.produce)
		same("a group", coordinatorCode(err), row.group)
		same("an administrator", adminCode(err), row.admin)
		if got := kerr.IsRetriable(kerr.ErrorForCode(produceCode(err,
			false))); got != row.produceRetries {
			t.Errorf("%v: a producer tries again: %v", row.kind, got)
		}
		if got := kerr.IsRetriable(kerr.ErrorForCode(coordinatorCode(err))); got != row.groupRetries {
			t.Errorf("%v: a group tries again: %v", row.kind, got)
		}
	}
}

func TestAnAppendThatMayHaveBeenTakenIsToldWhetherCopiesAreMissing(t *testing.T) {
	err := &core.Error{Op: "append", Kind: core.Unknown}
	if c := produceCode(err, true); c != kerr.NotEnoughReplicasAfterAppend.Code {
		t.Fatal(c)
	}
	if c := produceCode(errors.New("foreign"), false); c != kerr.RequestTimedOut.Code {
		t.Fatal(c)
	}
}

func TestAReaderAheadOfTheEpochIsToldToWait(t *testing.T) {
	err := &core.Error{Op: "read", Kind: core.Fenced, Epoch: 4}
	if c := dataCode(err, 5); c != kerr.UnknownLeaderEpoch.Code {
		t.Fatal(c)
	}
	if c := dataCode(err, 3); c != kerr.FencedLeaderEpoch.Code {
		t.Fatal(c)
	}
}

func TestBadBatchesHaveTheirCodes(t *testing.T) {
	for cause, want := range map[error]*kerr.Error{record.ErrCRC: kerr.CorruptMessage,
		record.ErrShort: kerr.CorruptMessage,
		record.ErrMagic: kerr.InvalidRecord, record.ErrForm: kerr.InvalidRecord,
		record.ErrLarge: kerr.InvalidRecord,
		record.ErrCodec: kerr.UnsupportedCompressionType} {
		if c := batchCode(&core.Error{Op: "x", Kind: core.Invalid, Err: cause}); c != want.Code {
			t.Errorf("%v: %d", cause, c)
		}
	}
}
