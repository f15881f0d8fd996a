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

func run(args []string) int {
	root := &cobra.Command{
		Use:           "trine",
		Short:         "A highly available message broker under three protocols",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
	}
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
