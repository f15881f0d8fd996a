package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"trine/internal/drill/rows"
)

// rowsCommand is the drill that RabbitMQ's rows of docs/MODES.md come from.
func rowsCommand() *cobra.Command {
	var o rows.Options
	var faults []string
	var keep string
	cmd := &cobra.Command{
		Use:   "rows",
		Short: "Break the home of three RabbitMQ queues as a real cluster's was broken once",
		Long: "Start three nodes; a classic, a mirrored and a quorum queue are led by node 1, and each has a\n" +
			"publisher (one message in flight, mandatory, confirmed) and a consumer on every node. Break\n" +
			"node 1, repair it, read everything back. The exit code is 1 where a confirmed message is lost,\n" +
			"two nodes led at once, or a message was given to one consumer while another that lives held it.\n\n" +
			"Faults: " + strings.Join(rows.Faults, ", "),
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			var err error
			if o.Program, err = os.Executable(); err != nil {
				return err
			}
			if o.Dir = keep; keep == "" {
				if o.Dir, err = os.MkdirTemp("", "trine-rows-"); err != nil {
					return err
				}
				defer os.RemoveAll(o.Dir)
			}
			o.Say = func(s string) { fmt.Fprintln(os.Stderr, s) }
			all, err := rows.Run(ctx, o, faults)
			if len(all) > 0 {
				if err := rows.Markdown(os.Stdout, all); err != nil {
					return err
				}
			}
			if err == nil && !rows.Kept(all) {
				err = errSaid
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&faults, "fault", rows.Faults, "faults, each in a cluster of its own")
	f.DurationVar(&o.Before, "before", 5*time.Second, "load before the fault")
	f.DurationVar(&o.Away, "away", 100*time.Second, "of a silence or a pause")
	f.DurationVar(&o.Down, "down", 16*time.Second, "from a process's end until it is started again")
	f.DurationVar(&o.After, "after", 20*time.Second, "load after the repair")
	f.DurationVar(&o.Patient, "patience", 5*time.Second, "after which a client that hears nothing goes elsewhere")
	f.StringVar(&keep, "keep", "", "keep data and logs in this directory")
	f.StringVar(&o.Base, "address", defaultAddress(), "the nodes listen on the three addresses that follow")
	return cmd
}
