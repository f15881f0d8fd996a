// Package catalog is what the cluster agrees on, as a deterministic machine: nodes,
// their disks, streams with their copies and leaders, and documents. Every copy of
// the catalog applies the same commands in the same order and so is the same, byte
// for byte; nobody but the commands' order decides anything.
//
// A command is {version 1, kind, fields}, in varints and length-prefixed bytes;
// command.go makes them, Apply reads each whole before it changes anything, and
// answers {version 1, core.Kind, name, detail, revision, streams}. A checkpoint is
//
//	version  cluster  applied  unfinished
//	n  {node disk run alive leaving rack addresses revision}   by node
//	n  {disk node}                                             every disk there was
//	n  {stream: definition, members, epochs, what it waits for} by id
//	n  {document}                                              by key
//
// # Who leads a leader-follower stream
//
// Only the catalog elects, and only as a consequence of other commands:
//
//	          Fence of the leader,           Fence, none in sync stands
//	          another in sync stands         ┌───────────────────────────┐
//	              ┌──────┐                   │                           ▼
//	Define ──▶ led by a copy ◀── Register of a copy that counts ──── away: waits
//	              │   ▲  └──────┘                                        │
//	              │   │   HandOver, Yield, Move: another in sync         │
//	              │   │                                                  │
//	              │   └── Reports of all: the longest leads ── doubtful ◀┘
//	              │       or Decide: that one leads                ▲
//	              └── Register, the copies in sync may lack something
//
// Every arrow into "led" raises the epoch. Which copy may lead is the policy's:
// under none the one that led before, under in-sync the first in sync in the
// members' order, under any after those the first that stands.
//
// A copy leaves the in-sync set when its node is fenced or gets another disk, when
// it may lack what it acknowledged, or when its leader says so; the last never
// does, nor the one that a stream without elections waits for. A copy whose run
// ends and begins again on the same disk keeps its place: it still has everything
// that it acknowledged. So a cluster that lost its power and kept its disks has
// the in-sync sets that it had.
//
// A copy is doubtful when its run begins neither after a clean stop nor in the same
// boot of its machine and its stream is lazy, or when its disk says that the copy
// is damaged. Where others are in sync it leaves the set. Where none is, the stream
// waits (Asked) until every copy that counts or can be asked has reported, and the
// longest by (epoch, index) leads; one that left the set before may be the longest.
//
// # Raft
//
// The members of a stream under majority, and the catalog's own, are a wish: its
// leader makes them its group's configuration and says with InSync who votes. The
// catalog names no leader of it; the first member is the preferred one.
package catalog
