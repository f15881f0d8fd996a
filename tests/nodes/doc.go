// Package nodes runs trine as people do, in real processes, for the tests beside it.
//
// A package's tests run in a network of their own (its loopback, and so every standard port, is
// theirs alone) and in a mount namespace of their own, where the machine permits that. The
// program is built once for a package. A Cluster is one `trine dev`, whose verbs break it.
package nodes
