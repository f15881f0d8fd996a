package sim

import "fmt"

// Class says what kind of harm a Finding is, so that a test can ask for the one that
// a planted bug must do.
type Class string

// The classes.
const (
	Lost       Class = "acknowledged and lost"
	Taken      Class = "served and gone"
	Repeated   Class = "stands twice"
	Reordered  Class = "out of order"
	CameAgain  Class = "came again"
	Differs    Class = "copies differ"
	WentBack   Class = "applied and taken back"
	TwoLeaders Class = "two leaders in one epoch"
	Refused    Class = "refused"
	Silent     Class = "not answered"
	Stuck      Class = "does not serve again"
	Foreign    Class = "never written"
	Untold     Class = "damage not reported"
	Ended      Class = "panic"
)

// Finding is one thing that must not be.
type Finding struct {
	Class Class
	Text  string
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s", f.Class, f.Text) }

func found(c Class, format string, args ...any) Finding {
	return Finding{c, fmt.Sprintf(format, args...)}
}
