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
	Mode       string         `json:"mode"`
	Fault      string         `json:"fault"`
	Runs       int            `json:"runs"`
	Valid      int            `json:"valid"`
	Acked      int            `json:"acknowledged"`
	Lost       int            `json:"lost"`
	Duplicated int            `json:"duplicated"`
	Reordered  int            `json:"reordered"`
	Returned   int            `json:"returned_after_settled"`
	Unknown    int            `json:"unknown"`
	Refused    int            `json:"refused"`
	Gap        time.Duration  `json:"gap_p50_ns"` // of the runs' longest gaps
	GapMax     time.Duration  `json:"gap_max_ns"`
	Noise      time.Duration  `json:"noise_p50_ns"`
	Errors     map[string]int `json:"errors"`
	Broken     []string       `json:"broken"`
	Why        []string       `json:"why_not_valid"`
}

// Rows sums up, in the order of modes and faults. Numbers add up over all runs, gaps
// and outcomes of those that do not count too.
func Rows(rs []Result) []Row {
	var rows []Row
	for _, m := range Modes {
		for _, f := range Faults {
			if r := row(m.Name, f.Name, rs); r.Runs > 0 {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

func row(mode, fault string, rs []Result) Row {
	r := Row{Mode: mode, Fault: fault, Errors: map[string]int{}, Broken: []string{}, Why: []string{}}
	var gaps, noises []time.Duration
	for _, one := range rs {
		if one.Mode != mode || one.Fault != fault {
			continue
		}
		r.Runs++
		if one.Valid {
			r.Valid++
			gaps, noises = append(gaps, one.Gap), append(noises, one.Noise)
		} else {
			r.Why = append(r.Why, one.Why)
		}
		r.Acked += one.Acked
		r.Lost += one.Lost
		r.Duplicated += one.Duplicated
		r.Reordered += one.Reordered
		r.Returned += one.Returned
		r.Unknown += one.Unknown
		r.Refused += one.Refused
		for e, n := range one.Errors {
			r.Errors[e] += n
		}
		for _, b := range one.Broken {
			if !slices.Contains(r.Broken, b) {
				r.Broken = append(r.Broken, b)
			}
		}
	}
	r.Gap, r.GapMax = middle(gaps)
	r.Noise, _ = middle(noises)
	return r
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
		if r.Valid < r.Runs || len(r.Broken) > 0 {
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
	case slices.Contains(modeNamed(r.Mode).MayLose, r.Fault):
		return "kept (may lose)"
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
	fmt.Fprintln(t, "MODE\tFAULT\tRUNS\tACKED\tLOST\tTWICE\tREORDERED\tRETURNED\tUNKNOWN\tGAP P50\tMAX\t"+
		"NOISE\tPROMISE\tCLIENT ERRORS")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", r.Mode, r.Fault, r.Runs,
			r.Acked, r.Lost, r.Duplicated, r.Reordered, r.Returned, r.Unknown, ms(r.Gap), ms(r.GapMax),
			ms(r.Noise), r.word(), r.errors())
		for _, why := range r.Why {
			fmt.Fprintf(t, "\t  does not count: %s\n", why)
		}
	}
	return t.Flush()
}

// modesPage is how each mode is kept: the part of the page that nothing measures.
//
//go:embed modes.md
var modesPage string

// Markdown writes docs/MODES.md: what each mode promises, and what was measured.
func Markdown(w io.Writer, rows []Row, how string) error {
	var b strings.Builder
	b.WriteString(modesPage + "## What the drill holds them to\n\n" +
		"Written by `trine drill run --all --markdown` from internal/drill/modes.go, whose promises decide\n" +
		"the drill's exit code. " + how + "\n\n" +
		"| mode | what it is | acknowledged messages may be lost under | twice | out of order |\n" +
		"|---|---|---|---|---|\n")
	yes := map[bool]string{false: "never", true: "by the client's own retry"}
	for _, m := range Modes {
		lose := strings.Join(m.MayLose, ", ")
		if lose == "" {
			lose = "nothing"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.Name, m.Says, lose, yes[m.MayRepeat], yes[m.MayReorder])
	}
	b.WriteString("\nNo mode may deliver a settled message again.\n\n## Faults\n\n| fault | what happens |\n|---|---|\n")
	for _, f := range Faults {
		fmt.Fprintf(&b, "| %s | %s |\n", f.Name, f.Says)
	}
	b.WriteString("\n## Measured\n\nThe gap is the longest time without an acknowledgement from the fault to the " +
		"end of the load,\nthe node's return included; noise is the longest before the fault.\n\n" +
		"| mode | fault | runs | acknowledged | lost | twice | out of order | returned after settled | unknown | " +
		"gap p50 | gap max | noise | promise | errors of the client APIs |\n" +
		"|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		word := r.word()
		if len(r.Why) > 0 {
			word += ": " + r.Why[0]
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s | %s | %s |\n", r.Mode, r.Fault,
			r.Runs, r.Acked, r.Lost, r.Duplicated, r.Reordered, r.Returned, r.Unknown, ms(r.Gap),
			ms(r.GapMax), ms(r.Noise), cell(word), cell(r.errors()))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell keeps a text within its cell.
func cell(s string) string {
	return strings.NewReplacer("|", "/", "\n", " ").Replace(s)
}
