package replica

import "trine/internal/core"

// NewFollowing makes a copy under leader-follower replication from what its disk
// has; rec is nil for a new one.
func NewFollowing(cfg Config, rec *core.Recovered) Copy { panic("coming") }
