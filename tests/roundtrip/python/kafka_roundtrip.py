"""Writes N records through one node with kafka-python and reads them through another."""
import sys
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

write_at, read_at, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
producer = KafkaProducer(bootstrap_servers=write_at, acks="all", compression_type="gzip")
sent = [producer.send("kafka-python", b"record %d" % i, partition=0) for i in range(n)]
for f in sent:
    f.get(timeout=30)
producer.close()

consumer = KafkaConsumer(bootstrap_servers=read_at, group_id="py", auto_offset_reset="earliest", consumer_timeout_ms=30000)
consumer.assign([TopicPartition("kafka-python", 0)])
got = []
for r in consumer:
    got.append(r.value)
    if len(got) == n:
        break
consumer.commit()
consumer.close()
assert got == [b"record %d" % i for i in range(n)], f"{len(got)} records, or in another order"
print(f"{n} records read back in order")
