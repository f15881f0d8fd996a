package wire

import "strconv"

// RouteQueues is what one broker name holds of a topic.
type RouteQueues struct {
	Broker      string
	Read, Write int
	Perm        int
	SysFlag     int
}

// BrokerAddr is one address of a broker name. Id 0 is its master.
type BrokerAddr struct {
	ID   int64
	Addr string
}

// RouteBroker is where a broker name is to be had.
type RouteBroker struct {
	Cluster string
	Name    string
	Addrs   []BrokerAddr
}

// Route is where a topic is.
type Route struct {
	OrderConf string
	Queues    []RouteQueues
	Brokers   []RouteBroker
}

// AppendRoute appends TopicRouteData. Keys of maps are quoted, whatever the client
// is: all of them read that.
func AppendRoute(dst []byte, r *Route) []byte {
	dst = append(dst, `{"brokerDatas":[`...)
	for i := range r.Brokers {
		dst = comma(dst, i)
		dst = appendBroker(dst, &r.Brokers[i])
	}
	dst = append(dst, `],"filterServerTable":{}`...)
	if r.OrderConf != "" {
		dst = append(dst, `,"orderTopicConf":`...)
		dst = AppendString(dst, r.OrderConf)
	}
	dst = append(dst, `,"queueDatas":[`...)
	for i := range r.Queues {
		q := &r.Queues[i]
		dst = comma(dst, i)
		dst = append(dst, `{"brokerName":`...)
		dst = AppendString(dst, q.Broker)
		dst = append(dst, `,"perm":`...)
		dst = strconv.AppendInt(dst, int64(q.Perm), 10)
		dst = append(dst, `,"readQueueNums":`...)
		dst = strconv.AppendInt(dst, int64(q.Read), 10)
		dst = append(dst, `,"topicSynFlag":`...) // the name until 4.9
		dst = strconv.AppendInt(dst, int64(q.SysFlag), 10)
		dst = append(dst, `,"topicSysFlag":`...)
		dst = strconv.AppendInt(dst, int64(q.SysFlag), 10)
		dst = append(dst, `,"writeQueueNums":`...)
		dst = strconv.AppendInt(dst, int64(q.Write), 10)
		dst = append(dst, '}')
	}
	return append(dst, ']', '}')
}

func comma(dst []byte, i int) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return dst
}

func appendBroker(dst []byte, b *RouteBroker) []byte {
	dst = append(dst, `{"brokerAddrs":{`...)
	for i, a := range b.Addrs {
		dst = comma(dst, i)
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, a.ID, 10)
		dst = append(dst, '"', ':')
		dst = AppendString(dst, a.Addr)
	}
	dst = append(dst, `},"brokerName":`...)
	dst = AppendString(dst, b.Name)
	dst = append(dst, `,"cluster":`...)
	dst = AppendString(dst, b.Cluster)
	return append(dst, `,"enableActingMaster":false}`...)
}

// AppendClusterInfo appends ClusterInfo: all brokers, which are of one cluster.
func AppendClusterInfo(dst []byte, cluster string, brokers []RouteBroker) []byte {
	dst = append(dst, `{"brokerAddrTable":{`...)
	for i := range brokers {
		dst = comma(dst, i)
		dst = AppendString(dst, brokers[i].Name)
		dst = append(dst, ':')
		dst = appendBroker(dst, &brokers[i])
	}
	dst = append(dst, `},"clusterAddrTable":{`...)
	dst = AppendString(dst, cluster)
	dst = append(dst, ':')
	dst = AppendStrings(dst, func(i int) (string, bool) {
		if i >= len(brokers) {
			return "", false
		}
		return brokers[i].Name, true
	})
	return append(dst, '}', '}')
}

// AppendStrings appends a JSON array of the strings that at gives until it is done.
func AppendStrings(dst []byte, at func(i int) (string, bool)) []byte {
	dst = append(dst, '[')
	for i := 0; ; i++ {
		s, ok := at(i)
		if !ok {
			return append(dst, ']')
		}
		dst = comma(dst, i)
		dst = AppendString(dst, s)
	}
}

// AppendTopicList appends TopicList.
func AppendTopicList(dst []byte, topics []string) []byte {
	dst = append(dst, `{"topicList":`...)
	dst = AppendStringList(dst, topics)
	return append(dst, '}')
}

// AppendStringList appends a JSON array of strings.
func AppendStringList(dst []byte, ss []string) []byte {
	return AppendStrings(dst, func(i int) (string, bool) {
		if i >= len(ss) {
			return "", false
		}
		return ss[i], true
	})
}

// AppendQueue appends a MessageQueue, which also serves as a map's key in bodies
// that fastjson alone calls JSON.
func AppendQueue(dst []byte, broker string, queue int, topic string) []byte {
	dst = append(dst, `{"brokerName":`...)
	dst = AppendString(dst, broker)
	dst = append(dst, `,"queueId":`...)
	dst = strconv.AppendInt(dst, int64(queue), 10)
	dst = append(dst, `,"topic":`...)
	dst = AppendString(dst, topic)
	return append(dst, '}')
}
