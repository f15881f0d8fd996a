// Package gate says who may do what, under every protocol: one list of users, one
// list of rules, one decision.
//
// A front end first makes a Principal of whoever speaks: Gate.Login for a name and a
// password, Gate.Conversation for a SCRAM exchange, Gate.Anonymous for one who gives
// no name. Then it resolves a request into what the request needs, a list of
// resources and operations, and asks Check for all of them before any of the answer
// is revealed:
//
//	principal ──▶ not a user any more, or not from here ──▶ denied
//	    │
//	    ├── a super user, or an administrator where there are no tenants ──▶ allowed
//	    ├── a rule that denies fits ──▶ denied
//	    ├── a rule that allows fits ──▶ allowed
//	    ├── anonymous, from where that is allowed ──▶ allowed
//	    └── ──▶ denied
//
// Users and rules are documents in the catalog, JSON of version 1:
//
//	gate/user/NAME                    {"v":1, "super":…, "tags":[…], "limits":{…},
//	                                   "sha256":{salt, iterations, keys}, "sha512":…, "hash":…}
//	gate/rule/ID                      {"v":1, "rules":[{effect, principals, hosts, tenant, types,
//	                                   pattern, ops}]}
//	gate/permission/USER/TENANT       {"v":1, "configure":…, "write":…, "read":…}
//	gate/topic/USER/TENANT/EXCHANGE   {"v":1, "write":…, "read":…}
//	gate/installed                    {"v":1}: this cluster's list of users is known, though it
//	                                   be empty
//
// Passwords are kept as SCRAM keys, salted, hashed PBKDF2 16,384 times, and as the
// Hash that RabbitMQ keeps, which definitions carry from one broker to another: of a
// user who came in that way the Hash alone is known.
//
// A node decides by its own copy of the catalog, in an immutable Snapshot. A rule
// that it cannot read might deny: then nobody but super users may do anything. Until
// it knows any list at all nobody may log in.
//
// As installed there is one user, guest with the password guest, an administrator who
// may do everything in the tenant / and may come from this machine only; who gives no
// name may do everything but act as a member of the cluster, from this machine only.
// What "from this machine" means is judged by the client's address, never by the
// address it called.
package gate
