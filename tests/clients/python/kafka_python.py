"""Writes and reads as ../doc.go says, with kafka-python."""
import sys
import time

from kafka import KafkaConsumer, KafkaProducer


def write(addresses, stream, by, n):
    p = KafkaProducer(bootstrap_servers=addresses.split(","), acks="all")
    sent = []
    for i in range(int(n)):
        text = f"{by} {i} {'x' * (i * 37 % 500)}"
        sent.append(p.send(stream, key=f"k{i % 17}".encode(), value=text.encode()))
    p.flush()
    for s in sent:
        s.get(timeout=30)
    p.close()


def read(addresses, group, n, *streams):
    c = KafkaConsumer(
        *streams,
        bootstrap_servers=addresses.split(","),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    got, end = 0, time.time() + 60
    while got < int(n):
        if time.time() > end:
            sys.exit(f"only {got} of {n} in a minute")
        for records in c.poll(timeout_ms=500).values():
            for r in records:
                print(r.topic, r.partition, r.offset, r.key.decode(), r.value.decode(), sep="\t")
                got += 1
    c.commit()
    committed = sum(c.committed(p) or 0 for p in c.assignment())
    if committed != int(n):
        sys.exit(f"{committed} messages committed, not {n}")
    c.close()


{"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
