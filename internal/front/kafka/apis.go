package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The keys that are named in code.
const (
	keyProduce     int16 = 0
	keyFetch       int16 = 1
	keyApiVersions int16 = 18
)

// api is one request key: which versions a client is told of, which are served,
// and by what.
type api struct {
	min       int16 // told
	max       int16
	servedMin int16
	flexible  int16 // the first flexible version
	run       func(c *Conn, r *request) error
}

// on makes a handler of requests that kmsg reads. Its error ends the connection.
func on[R kmsg.Request](handle func(c *Conn, r *request, q R)) func(*Conn, *request) error {
	return func(c *Conn, r *request) error {
		if r.flexible {
			if err := checkShape(r.key, r.version, r.body); err != nil {
				return err
			}
		}
		q := kmsg.RequestForKey(r.key)
		q.SetVersion(r.version)
		if err := q.ReadFrom(r.body); err != nil {
			return err
		}
		r.body = nil
		handle(c, r, q.(R))
		return nil
	}
}

// answerTo gives the empty answer to a request.
func answerTo[R kmsg.Response](q kmsg.Request) R {
	return q.ResponseKind().(R)
}

// newAPIs gives the keys that are served. Ranges are those of Kafka 4.1.
func newAPIs() []api {
	all := make([]api, kmsg.MaxKey+1)
	add := func(key, low, high int16, run func(*Conn, *request) error) {
		q := kmsg.RequestForKey(key)
		flexible := int16(0)
		for q.SetVersion(flexible); !q.IsFlexible() && flexible <= high; q.SetVersion(flexible) {
			flexible++
		}
		all[key] = api{min: low, max: high, servedMin: low, flexible: flexible, run: run}
	}
	add(0, 0, 13, produce)
	// Versions 0 to 2 are told of, because librdkafka before 2.11 compresses only
	// for brokers that have them, and are not served: as Kafka does since 4.0.
	all[0].servedMin = 3
	add(1, 4, 18, fetch)
	add(2, 1, 10, on((*Conn).listOffsets))
	add(3, 0, 13, on((*Conn).metadata))
	add(8, 2, 9, on((*Conn).offsetCommit))
	add(9, 1, 9, on((*Conn).offsetFetch))
	add(10, 0, 6, on((*Conn).findCoordinator))
	add(11, 0, 9, on((*Conn).joinGroup))
	add(12, 0, 4, on((*Conn).heartbeat))
	add(13, 0, 5, on((*Conn).leaveGroup))
	add(14, 0, 5, on((*Conn).syncGroup))
	add(15, 0, 6, on((*Conn).describeGroups))
	add(16, 0, 5, on((*Conn).listGroups))
	add(17, 0, 1, on((*Conn).saslHandshake))
	add(keyApiVersions, 0, 4, on((*Conn).apiVersions))
	add(19, 2, 7, on((*Conn).createTopics))
	add(20, 1, 6, on((*Conn).deleteTopics))
	add(21, 0, 2, on((*Conn).deleteRecords))
	add(22, 0, 5, on((*Conn).initProducerID))
	add(23, 2, 4, on((*Conn).offsetForLeaderEpoch))
	add(32, 1, 4, on((*Conn).describeConfigs))
	add(33, 0, 2, on((*Conn).alterConfigs))
	add(37, 0, 3, on((*Conn).createPartitions))
	add(42, 0, 2, on((*Conn).deleteGroups))
	add(44, 0, 1, on((*Conn).incrementalAlterConfigs))
	add(47, 0, 0, on((*Conn).offsetDelete))
	add(60, 0, 2, on((*Conn).describeCluster))
	return all
}

// api gives a key's entry, nil where it is not served.
func (f *Front) api(key int16) *api {
	if key < 0 || int(key) >= len(f.apis) || f.apis[key].run == nil {
		return nil
	}
	return &f.apis[key]
}

func (c *Conn) apiVersions(r *request, q *kmsg.ApiVersionsRequest) {
	if q.Version >= 3 && (!softwareName(q.ClientSoftwareName) ||
		!softwareName(q.ClientSoftwareVersion)) {
		r.reply(apiVersions(c.f, q.Version, errInvalidRequest))
		return
	}
	r.reply(apiVersions(c.f, q.Version, errNone))
}

// softwareName says whether a client's name or version has the form Kafka wants.
func softwareName(s string) bool {
	for i := range len(s) {
		ch := s[i]
		letter := 'a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z' || '0' <= ch && ch <= '9'
		if !letter && (ch != '-' && ch != '.' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return s != ""
}

func apiVersions(f *Front, version, code int16) *kmsg.ApiVersionsResponse {
	a := kmsg.NewPtrApiVersionsResponse()
	a.Version, a.ErrorCode = version, code
	if code == errInvalidRequest {
		return a
	}
	for key := range f.apis {
		if p := &f.apis[key]; p.run != nil {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MinVersion, k.MaxVersion = int16(key), p.min, p.max
			a.ApiKeys = append(a.ApiKeys, k)
		}
	}
	return a
}

// saslHandshake refuses every mechanism: none is set up.
func (c *Conn) saslHandshake(r *request, q *kmsg.SASLHandshakeRequest) {
	a := answerTo[*kmsg.SASLHandshakeResponse](q)
	a.ErrorCode = errSASLMechanism
	r.reply(a)
}
