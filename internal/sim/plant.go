package sim

// Plant names a bug that a run plants on purpose: a simulator that does not catch it
// is broken.
type Plant int
