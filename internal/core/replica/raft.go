package replica

import "trine/internal/core"

// NewRaft makes a copy under Raft from what its disk has; rec is nil for a new
// one. It refuses what it cannot read of the recovered members.
func NewRaft(cfg Config, rec *core.Recovered) (Copy, error) { panic("coming") }
