package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options are what a drill is asked for.
type Options struct {
	Program string   // this program
	Modes   []string // empty: kafka-insync, kafka-majority, amqp-quorum
	Faults  []string // empty: kill
	All     bool     // the whole table, whatever Modes and Faults say
	Rate    int      // messages a second, of all modes that share a cluster together
	Runs    int      // injections of each fault; in the whole table fewer of what is not judged
	Hold    time.Duration
	Keep    string // directory where data and logs stay; "": removed, unless a promise was broken
	Address string // nodes listen on the three that follow
	Said    func(line string)
}

// Run carries out all series, one after the other. A cluster is used for several, and
// made anew after one that left it unhealthy.
func Run(ctx context.Context, o Options) ([]Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	d := driller{o: &o, dir: o.Keep, keep: o.Keep != ""}
	if d.dir == "" {
		made, err := os.MkdirTemp("", "trine-drill-")
		if err != nil {
			return nil, err
		}
		d.dir = made
	}
	defer func() {
		d.drop()
		if !d.keep {
			os.RemoveAll(d.dir)
		}
	}()
	var all []Result
	for _, f := range o.fleets() {
		d.drop()
		for _, power := range []bool{false, true} {
			for _, fault := range f.faults {
				if faultNamed(fault).Power != power {
					continue
				}
				if fit := f.only(fault); len(fit.modes) > 0 {
					all = append(all, d.series(ctx, fit, fault)...)
				}
				if ctx.Err() != nil {
					return all, ctx.Err()
				}
			}
		}
	}
	return all, nil
}

func (o *Options) check() error {
	if len(o.Modes) == 0 {
		o.Modes = []string{"kafka-insync", "kafka-majority", "amqp-quorum"}
	}
	if len(o.Faults) == 0 {
		o.Faults = []string{"kill"}
	}
	for _, m := range o.Modes {
		if modeNamed(m) == nil {
			return fmt.Errorf("mode %q is not known: see trine drill run --help", m)
		}
	}
	for _, f := range o.Faults {
		if faultNamed(f) == nil {
			return fmt.Errorf("fault %q is not known: see trine drill run --help", f)
		}
	}
	for _, m := range o.Modes {
		if !slices.ContainsFunc(o.Faults, modeNamed(m).uses) {
			return fmt.Errorf("fault alter is not for mode %q: the modes for it are %s", m, alterable())
		}
	}
	if o.Said == nil {
		o.Said = func(string) {}
	}
	if o.Rate < 1 || o.Runs < 1 {
		return errors.New("rate and runs are 1 or more")
	}
	return nil
}

func alterable() string {
	var names []string
	for _, m := range Modes {
		if m.Changes != nil {
			names = append(names, m.Name)
		}
	}
	return strings.Join(names, ", ")
}

// driller owns the cluster in use.
type driller struct {
	o     *Options
	dir   string
	keep  bool // dir stays
	c     Cluster
	power bool
	at    string // where the cluster's data is
	count int
	made  int
}

// seriesMax is how many series one cluster serves.
const seriesMax = 12

// series carries one out, in the cluster that is there if it fits.
func (d *driller) series(ctx context.Context, f fleet, fault string) []Result {
	power := faultNamed(fault).Power
	if d.c != nil && (d.power != power || d.count%seriesMax == 0) {
		d.drop()
	}
	d.count++
	began := time.Now()
	d.o.Said(fmt.Sprintf("%s, %d times: %s; %s", fault, f.runs, faultNamed(fault).Says, f.layout(d.o.Rate)))
	if err := d.ready(ctx, power); err != nil {
		var all []Result
		for _, m := range f.modes {
			all = append(all, Result{Mode: m.Name, Fault: fault, Why: err.Error()})
		}
		return all
	}
	s := series{o: d.o, c: d.c, f: f, fault: fault}
	all := s.run(ctx, fmt.Sprintf("%d-%02d", os.Getpid(), d.count))
	if why := all[0].Why; why != "" {
		d.o.Said("  this does not count: " + why)
	}
	bad := false
	for i := range all {
		r := &all[i]
		if bad = bad || !r.Valid || len(r.Broken) > 0; !r.Valid || len(r.Broken) > 0 {
			r.Kept, d.keep = d.at, d.keep || len(r.Broken) > 0
		}
		d.o.Said("  " + r.line())
	}
	if bad {
		d.drop()
	}
	d.o.Said(fmt.Sprintf("  took %v", time.Since(began).Round(time.Second)))
	return all
}

// ready makes a cluster where there is none.
func (d *driller) ready(ctx context.Context, power bool) error {
	if d.c != nil {
		return nil
	}
	d.made++
	d.at = filepath.Join(d.dir, fmt.Sprintf("cluster-%d", d.made))
	if err := os.MkdirAll(d.at, 0o750); err != nil {
		return err
	}
	c, err := StartLocal(ctx, d.o.Program, d.at, d.o.Address, power)
	if err != nil {
		return err
	}
	d.c, d.power = c, power
	return nil
}

// drop ends the cluster. Its data goes where nobody asked for it, unless it is
// evidence.
func (d *driller) drop() {
	if d.c != nil {
		d.c.Close()
		d.c = nil
		if !d.keep {
			os.RemoveAll(d.at)
		}
	}
}
