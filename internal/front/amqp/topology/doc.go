// Package topology is what is declared on a cluster as AMQP has it: virtual hosts,
// exchanges, queues, bindings and policies, compiled for routing from the catalog's
// streams and documents.
//
//	stream    amqp/q/VHOST/QUEUE           labels: how the queue was declared
//	document  amqp/x/VHOST/EXCHANGE        type, flags, arguments
//	          amqp/b/VHOST/SOURCE/q|e/DESTINATION/KEY/ARGS
//	          amqp/v/VHOST                 a virtual host beside /
//	          amqp/p/VHOST/POLICY          pattern, priority, definition
//	          amqp/o/VHOST/POLICY          the same, of those who run the broker
//	          amqp/r/VHOST/COMPONENT/NAME  a parameter
//	          amqp/g/NAME                  a parameter of the whole cluster
//
// A queue is a stream, and nothing else. A binding names the stream and the
// exchange's revision that it was made for, so that one left behind binds nothing
// that later bears the same name.
package topology
