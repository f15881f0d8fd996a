// Package faults lets people's clients use real nodes while these lose their data, their disk's
// last byte, or their place.
package faults
