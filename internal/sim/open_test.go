package sim

// openSeeds are seeds that still fail, with what is known of the reason. They are
// played all the same and what they find is printed; every other failure fails the
// test. Each is owed a mend, and then leaves this list.
var openSeeds = map[uint64]string{}
