package sim

// openSeeds are seeds that still fail, with what is known of the reason. They are
// played all the same and what they find is printed; every other failure fails the
// test. Each is owed a mend, and then leaves this list.
var openSeeds = map[uint64]string{
	35:  "a lazy primary does not serve again after a power cut of its home under a full disk",
	57:  "a lazy primary lost an acknowledged record without a power cut: moves of copies that follow lazily",
	70:  "no cluster after all faults ended",
	103: "an in-sync log of which two disks were away does not serve again",
}
