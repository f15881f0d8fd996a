// Package admin is a node's HTTP side: health, metrics, and Trine's own API.
//
//	GET   /livez                        200 while the process answers
//	GET   /readyz                       200 while the node serves clients, else 503 and why
//	GET   /metrics                      for Prometheus
//	GET   /api/trine/v1/nodes           []Node
//	GET   /api/trine/v1/streams         []Stream; ?prefix=P, ?name=N for one,
//	                                    ?ends=1 with what this node's copies hold
//	PATCH /api/trine/v1/streams?name=N  Change: another mode, live; gives Stream
//	POST  /api/trine/v1/move?name=N     Move: other nodes, the preferred leader first
//
// What goes wrong is answered with a Problem. Other front ends hang their own
// handlers beside these (Handle).
package admin
