package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"trine/internal/drill"
)

func drillCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "drill", Short: "Break a cluster under load and count what its clients lost"}
	var o drill.Options
	var asJSON, markdown, judgeGaps bool
	var from string
	run := &cobra.Command{
		Use:   "run",
		Short: "Start three nodes, load and break them, read everything back",
		Long: "Start three nodes of this program and load them with the protocols' standard Go clients, all\n" +
			"modes that were asked for at the same time. Break one node, measure how long each mode's\n" +
			"clients went without an acknowledgement, repair it, wait until all copies are in sync, and\n" +
			"again, --runs times for each fault. Then read everything back, and say what was lost, written\n" +
			"twice, out of order or delivered again. The exit code is 1 where a mode's promise was broken,\n" +
			"or a run does not count because the cluster was not healthy; with --judge-gaps also where a\n" +
			"median gap misses its goal.\n\n" +
			"--all is the whole table: --runs injections of each fault whose gap has a goal, a quarter and\n" +
			"a seventh as many of the others. With --runs 20 it takes about half an hour.\n\n" +
			"Modes:\n" + modesHelp() + "\nFaults:\n" + faultsHelp(),
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var results []drill.Result
			var err error
			if from != "" {
				results, err = readResults(from)
			} else {
				results, err = runDrill(&o)
			}
			if err != nil && len(results) == 0 {
				return err
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "ended early, what was measured until then follows: %v\n", err)
			}
			rows := drill.Rows(results)
			switch {
			case asJSON:
				err = printJSON(map[string]any{"rows": rows, "runs": results})
			case markdown:
				err = drill.Markdown(os.Stdout, rows)
			default:
				err = drill.Print(os.Stdout, rows)
			}
			if err == nil && (!drill.Kept(rows) || judgeGaps && !drill.GoalsMet(rows)) {
				err = errSaid
			}
			return err
		},
	}
	f := run.Flags()
	f.StringSliceVar(&o.Modes, "mode", nil, "modes to drill, together (default kafka-insync, kafka-majority, amqp-quorum)")
	f.StringSliceVar(&o.Faults, "fault", nil, "faults to inject (default kill)")
	f.BoolVar(&o.All, "all", false, "the whole table")
	f.IntVar(&o.Rate, "rate", 2000, "messages a second, of all modes that share a cluster together")
	f.IntVar(&o.Runs, "runs", 1, "injections of each fault")
	f.DurationVar(&o.Hold, "hold-followers", 0, "delay what the broken node sends to the others, until the fault")
	f.StringVar(&o.Keep, "keep", "", "keep data and logs in this directory")
	f.StringVar(&o.Address, "address", defaultAddress(), "the nodes listen on the three addresses that follow")
	f.BoolVar(&judgeGaps, "judge-gaps", false, "exit with 1 also where a median gap misses its goal")
	f.BoolVar(&asJSON, "json", false, "rows and runs as JSON")
	f.BoolVar(&markdown, "markdown", false, "as docs/MODES.md")
	f.StringVar(&from, "from", "", "report on runs that --json wrote earlier: files, separated by commas")
	cmd.AddCommand(run, rowsCommand())
	return cmd
}

// defaultAddress differs between drills that run at once.
func defaultAddress() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.0", 100+pid/250%100, 1+pid%250)
}

func runDrill(o *drill.Options) ([]drill.Result, error) {
	var err error
	if o.Program, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	o.Said = func(line string) { fmt.Fprintln(os.Stderr, line) }
	return drill.Run(ctx, *o)
}

func readResults(files string) (all []drill.Result, err error) {
	for _, name := range strings.Split(files, ",") {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var one struct{ Runs []drill.Result }
		if err := json.Unmarshal(b, &one); err != nil {
			return nil, fmt.Errorf("read %q: %w", name, err)
		}
		all = append(all, one.Runs...)
	}
	return all, nil
}

func modesHelp() string {
	var b strings.Builder
	for _, m := range drill.Modes {
		fmt.Fprintf(&b, "  %-20s %s\n", m.Name, m.Says)
	}
	return b.String()
}

func faultsHelp() string {
	var b strings.Builder
	for _, f := range drill.Faults {
		fmt.Fprintf(&b, "  %-20s %s\n", f.Name, f.Says)
	}
	return b.String()
}
