package nameserver

import (
	"strconv"
	"testing"

	"trine/internal/core"
	"trine/internal/front/rocket/topology"
)

func TestGroupsAddressIsALivingNodes(t *testing.T) {
	s := &Server{o: Options{PortStep: 10}}
	node := func(id core.NodeID, alive bool) core.NodeInfo {
		return core.NodeInfo{Peer: core.Peer{Node: id, Incarnation: core.Incarnation(id)}, Alive: alive,
			Addresses: map[string]string{topology.AddressName: "10.0.0." + strconv.Itoa(int(id)) + ":10911"}}
	}
	for _, one := range []struct {
		mode   topology.Mode
		alive  [3]bool
		addr   string // "": none
		master bool
	}{
		{topology.ModeSingle, [3]bool{true, true, true}, "10.0.0.1:10911", true},
		{topology.ModeSingle, [3]bool{false, true, true}, "", false},
		{topology.ModeAsync, [3]bool{false, true, true}, "10.0.0.2:10921", false}, // reads only
		{topology.ModeDLedger, [3]bool{true, true, true}, "10.0.0.1:10911", true},
		{topology.ModeDLedger, [3]bool{false, true, true}, "10.0.0.2:10921", true},
		{topology.ModeDLedger, [3]bool{false, false, true}, "10.0.0.3:10921", true},
	} {
		g := &topology.Group{Name: "broker-1", Home: 1}
		g.GroupConf = topology.GroupConf{Mode: one.mode, Nodes: []core.NodeID{1, 2, 3}}
		var nodes []core.NodeInfo
		for i, a := range one.alive {
			nodes = append(nodes, node(core.NodeID(i+1), a))
		}
		p, ok := s.placeOf(g, nodes, "")
		if ok != (one.addr != "") || p.addr != one.addr || ok && p.master != one.master {
			t.Errorf("%s with %v: %q %v %v", one.mode, one.alive, p.addr, p.master, ok)
		}
		for i := range nodes { // who is doubted is as good as dead, to clients
			nodes[i].Doubted, nodes[i].Alive = !nodes[i].Alive, true
		}
		q, also := s.placeOf(g, nodes, "")
		if also != ok || q.addr != p.addr || q.master != p.master {
			t.Errorf("%s with %v, the others doubted: %q %v %v", one.mode, one.alive, q.addr, q.master, also)
		}
	}
}
