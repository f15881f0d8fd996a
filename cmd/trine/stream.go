package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"trine/internal/core"
	"trine/internal/front/admin"
)

func streamCommand() *cobra.Command {
	var c client
	cmd := &cobra.Command{Use: "stream", Short: "List, describe, alter and move streams"}
	c.flags(cmd)
	cmd.AddCommand(c.listCommand(), c.describeCommand(), c.alterCommand(), c.moveCommand())
	return cmd
}

func (c *client) listCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [PREFIX]",
		Short: "List streams",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			prefix := ""
			if len(args) > 0 {
				prefix = args[0]
			}
			var all []admin.Stream
			if err := c.call(c.at, "GET", "streams", url.Values{"prefix": {prefix}}, nil, &all); err != nil {
				return err
			}
			if asJSON {
				return printJSON(all)
			}
			if len(all) == 0 && prefix != "" {
				fmt.Printf("No stream's name begins with %q.\n", prefix)
				return nil
			} else if len(all) == 0 {
				fmt.Println("No streams yet.")
				return nil
			}
			return list(all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// list prints streams, one a line.
func list(all []admin.Stream) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "STREAM\tMODE\tFLUSH\tLEADER\tIN SYNC\tMINIMUM\tON NODES")
	for _, s := range all {
		leader, mode, on := "none", s.Mode, ""
		if s.Leader != 0 {
			leader = fmt.Sprint(s.Leader)
		}
		if s.Changing {
			mode += " (changing)"
		}
		for i, m := range s.Members {
			on += strings.Repeat(", ", min(i, 1)) + fmt.Sprint(m.Node)
		}
		if len(s.Members) < s.Copies {
			on += fmt.Sprintf(" (of %d asked for)", s.Copies)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d of %d\t%d\t%s\n", s.Name, mode, s.Flush, leader, s.InSync,
			len(s.Members), s.MinInSync, on)
	}
	return t.Flush()
}

// shown prints a stream that was just changed: as it is now, which may be on its way.
func shown(s *admin.Stream, asJSON bool) error {
	if asJSON {
		return printJSON(s)
	}
	return list([]admin.Stream{*s})
}

func (c *client) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME",
		Short: "Show one stream, as JSON, with what each living copy holds",
		Args:  one("a stream's name as `trine stream list` shows it", "kafka/greetings/0"),
		RunE: func(_ *cobra.Command, args []string) error {
			var one []admin.Stream
			q := url.Values{"name": {args[0]}, "ends": {"1"}}
			if err := c.call(c.at, "GET", "streams", q, nil, &one); err != nil {
				return err
			}
			s, err := c.status(args[0])
			if err != nil {
				return err
			}
			for _, st := range s.Streams {
				if st.Name == args[0] {
					return printJSON(streamStatus{one[0], st.Lag})
				}
			}
			return printJSON(one[0])
		},
	}
}

func (c *client) alterCommand() *cobra.Command {
	var ch admin.Change
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "alter NAME",
		Short: "Change how a live stream is kept",
		Long: "Change how a live stream is kept, without stopping it:\n" +
			"  single    one copy\n" +
			"  mirror    every copy in sync holds what was acknowledged\n" +
			"  majority  Raft: a majority holds and has flushed it\n" +
			"  insync    as mirror, refused with fewer in sync than --min-in-sync\n" +
			"  primary   the leader acknowledges alone, the others follow\n" +
			"  pair      all acknowledge together, nobody replaces the leader",
		Example: "  trine stream alter kafka/greetings/0 --mode majority --copies 3",
		Args:    one("a stream's name as `trine stream list` shows it", "kafka/greetings/0 --mode majority"),
		RunE: func(_ *cobra.Command, args []string) error {
			if ch == (admin.Change{}) {
				return errors.New("nothing to change is named: --mode, --copies, --min-in-sync or --flush")
			}
			var s admin.Stream
			if err := c.call(c.at, "PATCH", "streams", url.Values{"name": {args[0]}}, ch, &s); err != nil {
				return err
			}
			return shown(&s, asJSON)
		},
	}
	cmd.Flags().StringVar(&ch.Mode, "mode", "", "single, mirror, majority, insync, primary or pair")
	cmd.Flags().IntVar(&ch.Copies, "copies", 0, "how many")
	cmd.Flags().IntVar(&ch.MinInSync, "min-in-sync", 0, "how many must be in sync")
	cmd.Flags().StringVar(&ch.Flush, "flush", "", "each (on disk before it is acknowledged) or lazy")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the stream as JSON")
	return cmd
}

func (c *client) moveCommand() *cobra.Command {
	var nodes []int32
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "move NAME --to 2,3,1",
		Short:   "Put a stream's copies on other nodes, the preferred leader first",
		Example: "  trine stream move kafka/greetings/0 --to 2,3,1",
		Args:    one("a stream's name as `trine stream list` shows it", "kafka/greetings/0 --to 2,3,1"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(nodes) == 0 {
				return errors.New("no node is named: --to 2,3,1, the preferred leader first")
			}
			var m admin.Move
			for _, n := range nodes {
				m.Nodes = append(m.Nodes, core.NodeID(n))
			}
			var s admin.Stream
			if err := c.call(c.at, "POST", "move", url.Values{"name": {args[0]}}, m, &s); err != nil {
				return err
			}
			return shown(&s, asJSON)
		},
	}
	cmd.Flags().Int32SliceVar(&nodes, "to", nil, "the nodes, the preferred leader first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the stream as JSON")
	return cmd
}
