package main

import (
	"trine/internal/front"
	"trine/internal/node"
)

// seam is a node as the front ends see it. The two know nothing of each other:
// here alone the node's views are given the names of the seam.
type seam struct{ *node.Node }

var _ front.Core = seam{}

func (s seam) Streams() front.Streams { return s.Node.Streams() }
func (s seam) Log() front.Log         { return s.Node.Log() }
func (s seam) Queue() front.Queue     { return s.Node.Queue() }
func (s seam) Cluster() front.Cluster { return s.Node.Cluster() }
