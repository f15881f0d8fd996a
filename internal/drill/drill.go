package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options are what a drill is asked for.
type Options struct {
	Program string   // this program
	Modes   []string // empty: kafka-insync, kafka-majority, amqp-quorum
	Faults  []string // empty: kill
	All     bool     // every mode under every fault
	Rate    int      // messages a second
	Seconds float64  // of load, longer where a fault needs it
	Runs    int      // of each mode and fault
	Hold    time.Duration
	Keep    string // directory where data and logs stay; "": removed
	Address string // nodes listen on the three that follow
	Told    func(Result)
}

// Run carries out all runs, one after the other. A cluster is used for several, and
// made anew after one that left it unhealthy.
func Run(ctx context.Context, o Options) ([]Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	dir := o.Keep
	if dir == "" {
		made, err := os.MkdirTemp("", "trine-drill-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(made)
		dir = made
	}
	d := driller{o: &o, dir: dir}
	defer d.drop()
	var all []Result
	for _, power := range []bool{false, true} {
		for _, mode := range o.Modes {
			for _, fault := range o.Faults {
				if faultNamed(fault).Power != power {
					continue
				}
				for range o.Runs {
					if ctx.Err() != nil {
						return all, ctx.Err()
					}
					all = append(all, d.one(ctx, modeNamed(mode), fault, power))
					if o.Told != nil {
						o.Told(all[len(all)-1])
					}
				}
			}
		}
	}
	return all, nil
}

func (o *Options) check() error {
	if o.All {
		o.Modes, o.Faults = nil, nil
		for _, m := range Modes {
			o.Modes = append(o.Modes, m.Name)
		}
		for _, f := range Faults {
			o.Faults = append(o.Faults, f.Name)
		}
	}
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
	if o.Rate < 1 || o.Seconds < 1 || o.Runs < 1 {
		return errors.New("rate, seconds and runs are 1 or more")
	}
	return nil
}

// driller owns the cluster in use.
type driller struct {
	o     *Options
	dir   string
	c     Cluster
	power bool
	count int
	made  int
}

// usesMax is how many runs one cluster serves.
const usesMax = 12

func (d *driller) one(ctx context.Context, m *Mode, fault string, power bool) Result {
	if d.c != nil && (d.power != power || d.count%usesMax == 0) {
		d.drop()
	}
	d.count++
	if d.c == nil {
		d.made++
		dir := filepath.Join(d.dir, fmt.Sprintf("cluster-%d", d.made))
		err := os.MkdirAll(dir, 0o750)
		if err == nil {
			d.c, err = StartLocal(ctx, d.o.Program, dir, d.o.Address, power)
		}
		if err != nil {
			return Result{Mode: m.Name, Fault: fault, Why: err.Error()}
		}
		d.power = power
	}
	id := fmt.Sprintf("%d-%d", os.Getpid(), d.count)
	res := run(ctx, d.c, m, fault, id, d.o)
	if !res.Valid || len(res.Broken) > 0 {
		d.drop()
	}
	return res
}

func (d *driller) drop() {
	if d.c != nil {
		d.c.Close()
		d.c = nil
	}
}
