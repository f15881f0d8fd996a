// Package catalog is what the cluster agrees on, as a deterministic machine: nodes,
// disks, streams, who leads them, and documents. Every copy applies the same
// commands in the same order and so has the same catalog, byte for byte.
package catalog
