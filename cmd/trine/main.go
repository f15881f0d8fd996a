// Command trine is the broker, and what one needs to run and watch it.
//
//	trine serve                 a node; without configuration: alone, on loopback
//	trine dev -n 3              three nodes on this machine, to try and to break
//	trine dev kill|pause|... N  what happens to one of them, from another terminal
//	trine status                nodes, leaders, copies in sync, lag
//	trine stream ...            list, describe, alter and move streams
//	trine drill run             breaks three nodes under load and counts what was lost
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set at build time: -ldflags "-X main.version=1.2.3".
var version = "0.0.0-dev"

func main() {
	os.Exit(run(os.Args[1:]))
}

// errSaid ends the program with an error of which everything was said.
var errSaid = errors.New("said")

// one takes exactly one argument, whose meaning its error names.
func one(what, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%s takes one argument, %s, and was given %d: for instance %s %s",
			cmd.CommandPath(), what, len(args), cmd.CommandPath(), example)
	}
}

func run(args []string) int {
	root := &cobra.Command{
		Use:   "trine",
		Short: "A highly available message broker under three protocols",
		Long: "A highly available message broker: AMQP 0-9-1 (RabbitMQ), Kafka and RocketMQ clients\n" +
			"connect to it unchanged.",
		Example: "  trine serve               one node, data in ./trine-data, standard ports\n" +
			"  trine dev -n 3            three nodes on this machine, to try and to break\n" +
			"  trine dev kill 1          from another terminal: node 1 dies\n" +
			"  trine status --watch      what the cluster makes of it",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(serveCommand(), devCommand(), statusCommand(), streamCommand(),
		drillCommand())
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		if !errors.Is(err, errSaid) {
			fmt.Fprintln(os.Stderr, "trine:", err)
		}
		return 1
	}
	return 0
}
