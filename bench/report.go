package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// report is all that a run gave.
type report struct {
	Machine string    `json:"machine"`
	Began   string    `json:"began"`
	Rows    []outcome `json:"rows"`
}

// outcome is one row: the measurements of both sides, in the order they were made.
type outcome struct {
	Row     string     `json:"row"`
	What    string     `json:"what"`
	Peer    string     `json:"peer"`
	Measure string     `json:"measure,omitempty"` // what the ratio compares; "": CPU
	Trine   []measured `json:"trine"`
	Other   []measured `json:"other"`
	Error   string     `json:"error,omitempty"`
}

func (o *outcome) side(trine bool) string {
	if trine {
		return "trine"
	}
	return "peer"
}

func (o *outcome) add(trine bool, m measured) {
	if trine {
		o.Trine = append(o.Trine, m)
	} else {
		o.Other = append(o.Other, m)
	}
}

// mean gives the mean of one figure.
func mean(ms []measured, of func(measured) float64) float64 {
	sum := 0.0
	for _, m := range ms {
		sum += of(m)
	}
	return sum / float64(max(len(ms), 1))
}

func cpuOf(m measured) float64     { return m.CPU }
func rateOf(m measured) float64    { return m.Rate }
func rssOf(m measured) float64     { return m.RSS }
func secondsOf(m measured) float64 { return m.Seconds }
func p99Of(m measured) float64     { return m.P99 }

// main gives the figure that the row is about, with its unit.
func (o *outcome) main() (func(measured) float64, string) {
	switch o.Measure {
	case "rss":
		return rssOf, "MiB"
	case "seconds":
		return secondsOf, "s"
	case "p99":
		return p99Of, "ms"
	}
	return cpuOf, "us"
}

// cells are the row's figures: of each side, the ratio Trine to peer, the rates, memory
// and the highest load average.
func (o *outcome) cells() []string {
	of, unit := o.main()
	show := func(ms []measured, of func(measured) float64, format string) string {
		if len(ms) == 0 {
			return "-"
		}
		return fmt.Sprintf(format, mean(ms, of))
	}
	ratio := "-"
	if len(o.Trine) > 0 && len(o.Other) > 0 && mean(o.Other, of) > 0 {
		ratio = fmt.Sprintf("%.3f", mean(o.Trine, of)/mean(o.Other, of))
	}
	load := 0.0
	for _, m := range slices.Concat(o.Trine, o.Other) {
		load = max(load, m.LoadAvg)
	}
	others := 0.0
	for _, m := range slices.Concat(o.Trine, o.Other) {
		others = max(others, m.Others)
	}
	if others > othersMax && ratio != "-" {
		ratio = "(" + ratio + ")"
	}
	cells := []string{o.What, show(o.Trine, of, "%.3g "+unit), show(o.Other, of, "%.3g "+unit), ratio}
	if o.Measure == "" {
		cells = append(cells, show(o.Trine, rateOf, "%.0f/s"), show(o.Other, rateOf, "%.0f/s"))
	} else {
		cells = append(cells, "", "")
	}
	cells = append(cells, show(o.Trine, rssOf, "%.0f"), show(o.Other, rssOf, "%.0f"),
		fmt.Sprintf("%.1f", load), fmt.Sprintf("%.0f %%", 100*others))
	if o.Error != "" {
		cells = append(cells, "FAILED: "+o.Error)
	}
	return cells
}

// line is the row for who watches.
func (o *outcome) line() string {
	of, unit := o.main()
	s := o.Row + ":"
	for _, side := range []struct {
		name string
		ms   []measured
	}{{"trine", o.Trine}, {o.Peer, o.Other}} {
		s += " " + side.name
		for _, m := range side.ms {
			s += fmt.Sprintf(" %.3g %s", of(m), unit)
			if o.Measure == "" {
				s += fmt.Sprintf(" (%.0f/s)", m.Rate)
			}
		}
	}
	if o.Error != "" {
		s += " FAILED: " + o.Error
	}
	return s
}

// print writes the table.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s\n", r.Machine, r.Began)
	t := tabwriter.NewWriter(w, 0, 4, 1, ' ', 0)
	fmt.Fprintln(t, "| row\t| Trine\t| peer\t| ratio\t| Trine rate\t| peer rate\t| Trine MiB\t| peer MiB\t| load\t| others\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, o := range r.Rows {
		for _, c := range o.cells() {
			fmt.Fprintf(t, "| %s\t", c)
		}
		fmt.Fprintln(t, "|")
	}
	t.Flush()
	fmt.Fprintf(w, "load: the highest load average; others: the largest share of all processors that neither broker nor\n"+
		"client used. A ratio in brackets is no result: others used over %.0f %%.\n", 100*othersMax)
}

// othersMax is how much of the processors others may use while something is compared.
const othersMax = 0.05
