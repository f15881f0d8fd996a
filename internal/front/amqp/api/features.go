package api

// featureRoutes are the paths of this file.
var featureRoutes = []route{
	{"GET", "feature-flags", managers, false, (*server).featureFlags},
	{"PUT", "feature-flags/*/enable", administrators, false, (*server).enableFeature},
	{"GET", "deprecated-features", managers, false, (*server).deprecated},
	{"GET", "deprecated-features/used", managers, false, (*server).deprecatedUsed},
	{"GET", "shovels", monitors, false, (*server).nothing},
	{"GET", "shovels/*", monitors, true, (*server).nothing},
	{"GET", "federation-links", monitors, false, (*server).nothing},
	{"GET", "federation-links/*", monitors, true, (*server).nothing},
}

// flags are RabbitMQ 4.0's feature flags whose feature Trine has: tools ask for them
// before they use it.
var flags = []struct{ name, desc string }{
	{"classic_queue_type_delivery_support", "deliveries of classic queues with a type"},
	{"detailed_queues_endpoint", "/api/queues/detailed"},
	{"direct_exchange_routing_v2", "direct exchanges are looked up by key"},
	{"drop_unroutable_metric", "unroutable messages that are dropped are counted"},
	{"empty_basic_get_metric", "basic.get that finds nothing is counted"},
	{"feature_flags_v2", "feature flags as documents"},
	{"implicit_default_bindings", "bindings to the default exchange are not stored"},
	{"listener_records_in_ets", "listeners are known to all nodes"},
	{"maintenance_mode_status", "a node that stops says so"},
	{"quorum_queue", "queues of type quorum"},
	{"quorum_queue_non_voters", "copies of quorum queues that do not vote yet"},
	{"restart_streams", "streams whose leader can be moved"},
	{"tracking_records_in_ets", "connections are known to all nodes"},
	{"user_limits", "limits of users"},
	{"virtual_host_metadata", "virtual hosts with a description and tags"},
}

func (s *server) featureFlags(*call) (any, error) {
	all := []object{}
	for _, f := range flags {
		all = append(all, object{"name": f.name, "desc": f.desc, "doc_url": "", "state": "enabled",
			"stability": "required", "provided_by": "rabbit"})
	}
	return all, nil
}

// enableFeature has nothing to do: what Trine has is on.
func (s *server) enableFeature(c *call) (any, error) {
	if _, err := c.body(); err != nil {
		return nil, err
	}
	for _, f := range flags {
		if f.name == c.arg(1) || c.arg(1) == "all" {
			return nil, done
		}
	}
	return nil, bad("unsupported")
}

// deprecations are features of RabbitMQ that it will drop, and that Trine keeps.
var deprecations = []string{"classic_queue_mirroring", "global_qos", "management_metrics_collection",
	"queue_master_locator", "ram_node_type", "transient_nonexcl_queues"}

func (s *server) deprecated(*call) (any, error) {
	all := []object{}
	for _, name := range deprecations {
		all = append(all, object{"name": name, "desc": "", "deprecation_phase": "permitted_by_default",
			"doc_url": "", "provided_by": "rabbit"})
	}
	return all, nil
}

// deprecatedUsed shows none as a reason to act: Trine drops none of them.
func (s *server) deprecatedUsed(*call) (any, error) { return []object{}, nil }

// nothing answers for what Trine has none of.
func (s *server) nothing(*call) (any, error) { return []object{}, nil }
