"""Publishes N messages with confirms through one node with pika and consumes them through another."""
import sys
import pika

write_at, read_at, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
with pika.BlockingConnection(pika.ConnectionParameters(write_at)) as connection:
    channel = connection.channel()
    channel.queue_declare("pika", durable=True, arguments={"x-queue-type": "quorum"})
    channel.confirm_delivery()
    for i in range(n):
        channel.basic_publish("", "pika", b"message %d" % i, pika.BasicProperties(delivery_mode=2), mandatory=True)

with pika.BlockingConnection(pika.ConnectionParameters(read_at)) as connection:
    channel = connection.channel()
    channel.basic_qos(prefetch_count=50)
    got = []
    for method, _, body in channel.consume("pika", inactivity_timeout=30):
        if method is None:
            break
        got.append(body)
        channel.basic_ack(method.delivery_tag)
        if len(got) == n:
            break
    channel.cancel()
assert got == [b"message %d" % i for i in range(n)], f"{len(got)} messages, or in another order"
print(f"{n} messages read back in order")
