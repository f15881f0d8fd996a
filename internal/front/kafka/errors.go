package kafka

import (
	"errors"

	"trine/internal/core"
	"trine/internal/core/record"
)

// The error codes of Kafka's protocol that are given here.
const (
	errUnknownServer          int16 = -1
	errNone                   int16 = 0
	errOffsetOutOfRange       int16 = 1
	errCorruptMessage         int16 = 2
	errUnknownTopic           int16 = 3
	errLeaderNotAvailable     int16 = 5
	errNotLeader              int16 = 6
	errRequestTimedOut        int16 = 7
	errMessageTooLarge        int16 = 10
	errMetadataTooLarge       int16 = 12
	errCoordinatorLoading     int16 = 14
	errCoordinatorUnavailable int16 = 15
	errNotCoordinator         int16 = 16
	errInvalidTopic           int16 = 17
	errNotEnoughReplicas      int16 = 19
	errNotEnoughAfterAppend   int16 = 20
	errInvalidRequiredAcks    int16 = 21
	errInvalidGroupID         int16 = 24
	errInvalidCommitSize      int16 = 28
	errTopicDenied            int16 = 29
	errInvalidTimestamp       int16 = 32
	errSASLMechanism          int16 = 33
	errUnsupportedVersion     int16 = 35
	errTopicExists            int16 = 36
	errInvalidPartitions      int16 = 37
	errInvalidReplication     int16 = 38
	errInvalidAssignment      int16 = 39
	errInvalidConfig          int16 = 40
	errInvalidRequest         int16 = 42
	errPolicyViolation        int16 = 44
	errOutOfOrder             int16 = 45
	errDuplicateSequence      int16 = 46
	errProducerFenced         int16 = 47 // INVALID_PRODUCER_EPOCH
	errInvalidTxnState        int16 = 48
	errStorage                int16 = 56
	errReassigning            int16 = 60
	errNonEmptyGroup          int16 = 68
	errGroupNotFound          int16 = 69
	errFetchSessionNotFound   int16 = 70
	errFencedEpoch            int16 = 74
	errUnknownEpoch           int16 = 75
	errUnsupportedCompression int16 = 76
	errInvalidRecord          int16 = 87
	errUnknownTopicID         int16 = 100
	errMismatchedEndpoint     int16 = 114
	errUnsupportedEndpoint    int16 = 115
)

// dataCodes are the answers of Fetch, ListOffsets and the like. A client asks
// again, after it has looked for the leader, at 5, 6, 7, 19, 20, 56, 74 and 75.
var dataCodes = [...]int16{
	core.OK:          errNone,
	core.Invalid:     errInvalidRequest,
	core.NotExist:    errUnknownTopic,
	core.Exist:       errTopicExists,
	core.Conflict:    errFencedEpoch,
	core.NotLeader:   errNotLeader,
	core.NoLeader:    errLeaderNotAvailable,
	core.Fenced:      errFencedEpoch,
	core.Refused:     errNotEnoughReplicas,
	core.OutOfRange:  errOffsetOutOfRange,
	core.OutOfOrder:  errOutOfOrder,
	core.Duplicate:   errDuplicateSequence,
	core.Locked:      errInvalidRequest,
	core.TooLarge:    errMessageTooLarge,
	core.Full:        errStorage,
	core.Denied:      errTopicDenied,
	core.Shut:        errNotLeader,
	core.Unknown:     errRequestTimedOut,
	core.Unavailable: errLeaderNotAvailable,
}

// dataCode gives the code for an error about a partition. asked is the epoch that
// the client believes in, or 0.
func dataCode(err error, asked core.Epoch) int16 {
	k := core.KindOf(err)
	if int(k) >= len(dataCodes) {
		return errUnknownServer
	}
	if k == core.Fenced || k == core.Conflict {
		var e *core.Error
		if errors.As(err, &e) && e.Epoch != 0 && asked > e.Epoch {
			return errUnknownEpoch
		}
	}
	return dataCodes[k]
}

// produceCode gives the code for the outcome of an append. fewer: the partition
// has fewer copies in sync now than it must have.
func produceCode(err error, fewer bool) int16 {
	switch core.KindOf(err) {
	case core.Duplicate:
		return errNone // it is there: what the producer wants to hear
	case core.Fenced:
		return errProducerFenced
	case core.Conflict:
		return errNotLeader
	case core.Unknown:
		if fewer {
			return errNotEnoughAfterAppend
		}
	}
	return dataCode(err, 0)
}

// coordinatorCode gives the code for a failed write of a group's coordinator.
func coordinatorCode(err error) int16 {
	switch core.KindOf(err) {
	case core.OK, core.Duplicate:
		return errNone
	case core.NotLeader, core.Fenced, core.Conflict, core.NotExist, core.Shut:
		return errNotCoordinator
	case core.TooLarge:
		return errInvalidCommitSize
	case core.Denied:
		return errTopicDenied
	}
	return errCoordinatorUnavailable
}

// adminCode gives the code for an error about a topic as a whole.
func adminCode(err error) int16 {
	switch core.KindOf(err) {
	case core.OK:
		return errNone
	case core.NotExist:
		return errUnknownTopic
	case core.Exist:
		return errTopicExists
	case core.Invalid:
		return errInvalidRequest
	case core.TooLarge:
		return errPolicyViolation
	case core.Denied:
		return errTopicDenied
	case core.Full:
		return errStorage
	}
	return errRequestTimedOut
}

// batchCode gives the code for a batch that core/record refuses.
func batchCode(err error) int16 {
	switch {
	case errors.Is(err, record.ErrCRC), errors.Is(err, record.ErrShort):
		return errCorruptMessage
	case errors.Is(err, record.ErrCodec):
		return errUnsupportedCompression
	}
	return errInvalidRecord
}
