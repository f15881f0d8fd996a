package replica

import (
	"encoding/binary"

	"trine/internal/core"
)

// setBase writes base offset and epoch into a batch's header.
func setBase(b []byte, base core.Offset, epoch core.Epoch) {
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint32(b[12:], uint32(epoch))
}
