package main

import (
	"fmt"
	"net/url"
	"os"
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
			t := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "STREAM\tMODE\tLEADER\tIN SYNC\tCOPIES")
			for _, s := range all {
				fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d of %d\n", s.Name, s.Mode, s.Leader, s.InSync,
					len(s.Members), s.Copies)
			}
			return t.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func (c *client) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME",
		Short: "Show one stream, as JSON, with what each living copy holds",
		Args:  cobra.ExactArgs(1),
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
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var s admin.Stream
			if err := c.call(c.at, "PATCH", "streams", url.Values{"name": {args[0]}}, ch, &s); err != nil {
				return err
			}
			return printJSON(s)
		},
	}
	cmd.Flags().StringVar(&ch.Mode, "mode", "", "single, mirror, majority, insync, primary or pair")
	cmd.Flags().IntVar(&ch.Copies, "copies", 0, "how many")
	cmd.Flags().IntVar(&ch.MinInSync, "min-in-sync", 0, "how many must be in sync")
	cmd.Flags().StringVar(&ch.Flush, "flush", "", "each (on disk before it is acknowledged) or lazy")
	return cmd
}

func (c *client) moveCommand() *cobra.Command {
	var nodes []int32
	cmd := &cobra.Command{
		Use:   "move NAME --to 2,3,1",
		Short: "Put a stream's copies on other nodes, the preferred leader first",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var m admin.Move
			for _, n := range nodes {
				m.Nodes = append(m.Nodes, core.NodeID(n))
			}
			var s admin.Stream
			if err := c.call(c.at, "POST", "move", url.Values{"name": {args[0]}}, m, &s); err != nil {
				return err
			}
			return printJSON(s)
		},
	}
	cmd.Flags().Int32SliceVar(&nodes, "to", nil, "the nodes, the preferred leader first")
	cmd.MarkFlagRequired("to")
	return cmd
}
