package drill

import (
	"cmp"
	_ "embed" // the page's first part
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Row sums up the runs of one mode under one fault.
type Row struct {
	Mode    string        `json:"mode"`
	Fault   string        `json:"fault"`
	Layouts []string      `json:"layouts"`
	Rate    int           `json:"rate"` // of this mode, messages a second
	Runs    int           `json:"runs"`
	Valid   int           `json:"valid"`
	Gap     time.Duration `json:"gap_p50_ns"` // of the runs' longest gaps
	GapMax  time.Duration `json:"gap_max_ns"`
	Back    time.Duration `json:"back_p50_ns"` // of the longest after the repair
	Noise   time.Duration `json:"noise_p50_ns"`
	Worst   time.Duration `json:"noise_max_ns"`
	Failed  int           `json:"client_errors"` // from faults to the ends of their windows
	Goal    string        `json:"goal"`
	Verdict
	Errors map[string]int `json:"errors"`
	Broken []string       `json:"broken"`
	Why    []string       `json:"why_not_valid"`
	Kept   []string       `json:"kept"`
}

// Rows sums up, in the order of modes and faults. Numbers add up over all runs, gaps
// over those that count.
func Rows(rs []Result) []Row {
	var rows []Row
	for _, m := range Modes {
		for _, f := range Faults {
			if r, any := row(m.Name, f.Name, rs); any {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

func row(mode, fault string, rs []Result) (r Row, any bool) {
	r = Row{Mode: mode, Fault: fault, Errors: map[string]int{}, Broken: []string{}, Why: []string{}}
	var gaps, backs, noises []time.Duration
	for _, one := range rs {
		if one.Mode != mode || one.Fault != fault {
			continue
		}
		any = true
		r.add(&one)
		for _, in := range one.Runs {
			r.Runs++
			r.Failed += in.Errors
			if !in.Valid {
				r.Why = append(r.Why, in.Why)
				continue
			}
			r.Valid++
			gaps, backs, noises = append(gaps, in.Gap), append(backs, in.Back), append(noises, in.Noise)
		}
	}
	r.Gap, r.GapMax = middle(gaps)
	r.Back, _ = middle(backs)
	r.Noise, r.Worst = middle(noises)
	r.Goal = r.goalWord()
	return r, any
}

func (r *Row) add(one *Result) {
	r.Rate = one.Rate
	if !slices.Contains(r.Layouts, one.Layout) {
		r.Layouts = append(r.Layouts, one.Layout)
	}
	if !one.Valid {
		r.Why = append(r.Why, one.Why)
	}
	if one.Kept != "" {
		r.Kept = append(r.Kept, one.Kept)
	}
	r.Acked += one.Acked
	r.Lost += one.Lost
	r.Duplicated += one.Duplicated
	r.Reordered += one.Reordered
	r.Returned += one.Returned
	r.Unknown += one.Unknown
	r.Refused += one.Refused
	r.Written += one.Written
	r.Soft += one.Soft
	r.SoftLost += one.SoftLost
	r.Stalled += one.Stalled
	r.LostFirst = append(r.LostFirst, one.LostFirst...)
	for e, n := range one.Errors {
		r.Errors[e] += n
	}
	for _, b := range one.Broken {
		if !slices.Contains(r.Broken, b) {
			r.Broken = append(r.Broken, b)
		}
	}
}

// middle gives the median and the greatest.
func middle(ds []time.Duration) (median, most time.Duration) {
	if len(ds) == 0 {
		return 0, 0
	}
	slices.Sort(ds)
	return ds[(len(ds)-1)/2], ds[len(ds)-1]
}

// Kept says whether every run counts and every promise was kept.
func Kept(rows []Row) bool {
	for _, r := range rows {
		if len(r.Why) > 0 || len(r.Broken) > 0 || r.Valid == 0 {
			return false
		}
	}
	return len(rows) > 0
}

// word is what a row comes to.
func (r *Row) word() string {
	switch {
	case len(r.Broken) > 0:
		return "BROKEN: " + strings.Join(r.Broken, ", ")
	case r.Valid < r.Runs:
		return fmt.Sprintf("%d of %d do not count", r.Runs-r.Valid, r.Runs)
	case len(r.Why) > 0 || r.Runs == 0:
		return "does not count"
	case r.Lost > 0:
		return "kept: may lose"
	case modeNamed(r.Mode).Refuses && r.Refused > 0:
		return "kept: refused, nothing of it written"
	}
	return "kept"
}

func (r *Row) errors() string {
	var all []string
	for _, e := range slices.SortedFunc(maps.Keys(r.Errors), func(a, b string) int {
		return cmp.Or(r.Errors[b]-r.Errors[a], strings.Compare(a, b))
	}) {
		all = append(all, fmt.Sprintf("%d x %s", r.Errors[e], e))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all[:min(len(all), 3)], "; ")
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// Print writes the table for people.
func Print(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "MODE\tFAULT\tRUNS\tRATE\tACKED\tLOST\tTWICE\tREORDERED\tRETURNED\tUNKNOWN\tREFUSED\t"+
		"GAP P50\tWORST\tAFTER REPAIR\tNOISE\tERRORS\tPROMISE\tGAP'S GOAL")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d/s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n",
			r.Mode, r.Fault, r.Runs, r.Rate, r.Acked, r.Lost, r.Duplicated, r.Reordered, r.Returned, r.Unknown,
			r.Refused, ms(r.Gap), ms(r.GapMax), ms(r.Back), ms(r.Noise), r.Failed, r.word(), r.Goal)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return notes(w, rows)
}

// notes writes what does not fit into a table's row.
func notes(w io.Writer, rows []Row) error {
	var b strings.Builder
	var said []string              // in the order in which they come up
	where := map[string][]string{} // what was said -> where
	for _, r := range rows {
		say := func(format string, a ...any) {
			what, at := fmt.Sprintf(format, a...), r.Mode+" under "+r.Fault
			if where[what] == nil {
				said = append(said, what)
			}
			if !slices.Contains(where[what], at) {
				where[what] = append(where[what], at)
			}
		}
		for _, why := range r.Why {
			say("does not count: %s", why)
		}
		for _, s := range r.LostFirst[:min(len(r.LostFirst), lostShown)] {
			if !slices.Contains(r.Broken, "lost") {
				break
			}
			say("lost: message %d of producer %d, acknowledged at %v", s.Seq, s.Producer, s.At)
		}
		for _, k := range r.Kept {
			say("data and logs are in %s", k)
		}
		if e := r.errors(); e != "none" {
			say("told by the clients' API: %s", e)
		}
	}
	for _, what := range said {
		fmt.Fprintf(&b, "%s: %s\n", strings.Join(where[what], ", "), what)
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	b.WriteString("Gap: the longest time without an acknowledgement, from the fault until a second after all is " +
		"healthy again,\nmedian and worst of the runs. After repair: the part of it that began after the node " +
		"was back. Noise: the\nlongest in the second before the fault.\n")
	for _, l := range layouts(rows) {
		fmt.Fprintf(&b, "Measured at: %s.\n", l)
	}
	_, err := io.WriteString(w, "\n"+b.String())
	return err
}

func layouts(rows []Row) (all []string) {
	for _, r := range rows {
		for _, l := range r.Layouts {
			if l != "" && !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
	}
	return all
}

// line is a result in one line, for who waits for more.
func (r *Result) line() string {
	row, _ := row(r.Mode, r.Fault, []Result{*r})
	what := fmt.Sprintf("%s %s: %d acknowledged, %d lost, %d twice, %d reordered, %d returned, %d unknown, "+
		"gap p50 %v, worst %v; %s", r.Mode, r.Fault, r.Acked, r.Lost, r.Duplicated, r.Reordered, r.Returned,
		r.Unknown, ms(row.Gap), ms(row.GapMax), row.word())
	if r.Refused > 0 {
		what += fmt.Sprintf("; %d refused", r.Refused)
	}
	if row.Goal != "-" {
		what += "; goal " + row.Goal
	}
	return what
}

// tell says how an injection went.
func (s *series) tell(i, n int) {
	var gaps []string
	note := ""
	for _, t := range s.track {
		gap := ms(t.last.Gap)
		if !t.last.Valid {
			gap += " (does not count: " + t.last.Why + ")"
		}
		gaps = append(gaps, t.m.Name+" "+gap)
		if note = t.last.Note; note != "" {
			note = " (" + note + ")"
		}
	}
	s.o.Said(fmt.Sprintf("  %s %d of %d at node %d%s: gap %s", s.fault, i, n, s.seats.target, note,
		strings.Join(gaps, ", ")))
}

// modesPage is how each mode is kept: the part of the page that nothing measures.
//
//go:embed modes.md
var modesPage string

const measuredHead = `
## Measured

The gap is the longest time without an acknowledgement, from the fault until a second after all nodes
and copies are healthy again, the node's return included: median and worst of the runs. After repair:
the part of it that began after the node was back. Noise: the longest in the second before each fault,
median. The goals are for medians, with clients that back off for at most 20 ms and time out after at
most 1 s, Kafka clients of the leader, AMQP and RocketMQ clients of a living node. SIGTERM's goal also
asks for no error from the clients' APIs. Client errors include what connections said while no node
was there to be asked. Measured at:

`

// Markdown writes docs/MODES.md: what each mode promises, and what was measured.
func Markdown(w io.Writer, rows []Row) error {
	var b strings.Builder
	b.WriteString(modesPage + "## What the drill holds them to\n\n" +
		"Written by `trine drill run --all --markdown` from internal/drill/modes.go, whose promises decide\n" +
		"the drill's exit code.\n\n" +
		"| mode | what it is | acknowledged messages may be lost under | twice | out of order |\n" +
		"|---|---|---|---|---|\n")
	yes := map[bool]string{false: "never", true: "by the client's own retry"}
	for _, m := range Modes {
		lose := strings.Join(m.MayLose, ", ")
		if lose == "" {
			lose = "nothing"
		}
		late := yes[m.MayReorder]
		if m.Dead && m.Queue {
			late = "what the broken node's consumers held (flagged), and what was never confirmed"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.Name, m.Says, lose, yes[m.MayRepeat], late)
	}
	b.WriteString("\nNo mode may deliver a settled message again, or keep what it refused.\n\n## Faults\n\n" +
		"| fault | what happens |\n|---|---|\n")
	for _, f := range Faults {
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, f.Says)
	}
	b.WriteString(measuredHead)
	for _, l := range layouts(rows) {
		fmt.Fprintf(&b, "- %s\n", l)
	}
	b.WriteString("\n| mode | fault | runs | rate | acknowledged | lost | twice | out of order | returned after settled | " +
		"unknown | refused | gap p50 | gap worst | after repair | noise | client errors | promise | gap's goal | told by client APIs |\n" +
		"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		word := r.word()
		if len(r.Why) > 0 {
			word += ": " + r.Why[0]
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d/s | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s | %s | %d | %s | %s | %s |\n",
			r.Mode, r.Fault, r.Runs, r.Rate, r.Acked, r.Lost, r.Duplicated, r.Reordered, r.Returned, r.Unknown,
			r.Refused, ms(r.Gap), ms(r.GapMax), ms(r.Back), ms(r.Noise), r.Failed, cell(word), r.Goal, cell(r.errors()))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell keeps a text within its cell.
func cell(s string) string {
	return strings.NewReplacer("|", "/", "\n", " ").Replace(s)
}
