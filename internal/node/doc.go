// Package node carries out what a shard decides: it has the clock, the disk, the
// connections to the other nodes, and the goroutines.
//
//	front ends ──┐                       ┌─> view (any goroutine reads it)
//	peers' lanes ┼─> inbox ─> loop: Step ┼─> lanes to peers: one write a turn
//	disk roads ──┤     ▲                 ├─> roads: everything queued, one flush
//	loads ───────┘     │                 ├─> loads
//	                   └── completions ──┴─> answers, lends, forwards, watchers
//
// One goroutine, the loop, owns the shard. Whoever has an event puts it into the
// inbox and wakes the loop, which takes everything at once, calls Step and carries
// out the turn: the view first, so that nobody who was answered finds less than
// the answer implied; then what others wait for; then, still on the loop, the
// callbacks.
//
// Between two nodes stand two connections, a lane each (package link), together a
// link. The node with the smaller id calls, both lanes; the other, while the link
// is down, only asks whether anybody is there (a probe), which also asks to be
// called. A link is up once each side has read the other's Hello and the caller
// has said go on both lanes: that a listener accepts says nothing of the process
// behind it. When either connection ends the link is down at once, and both sides
// ask again every 5 ms: a refusal, or another run's answer, is evidence that the
// run is dead.
//
// Before there is a shard a node without a cluster asks the nodes that its
// configuration names (join.go). It forms a cluster with them only when each of
// them answers that it has none either.
package node
