"""Writes and reads as ../doc.go says, with confluent-kafka."""
import sys
import time

from confluent_kafka import Consumer, Producer


def write(addresses, stream, by, n):
    failed = []
    p = Producer({"bootstrap.servers": addresses, "enable.idempotence": True})
    for i in range(int(n)):
        text = f"{by} {i} {'x' * (i * 37 % 500)}"
        p.produce(stream, text, f"k{i % 17}", callback=lambda e, _: e and failed.append(e))
    left = p.flush(60)
    if failed or left:
        sys.exit(f"{left} not confirmed, failed: {failed[:3]}")


def read(addresses, group, n, *streams):
    c = Consumer(
        {
            "bootstrap.servers": addresses,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    c.subscribe(list(streams))
    got, end = 0, time.time() + 60
    while got < int(n):
        if time.time() > end:
            sys.exit(f"only {got} of {n} in a minute")
        for r in c.consume(500, 0.5):
            if r.error():
                sys.exit(str(r.error()))
            print(r.topic(), r.partition(), r.offset(), r.key().decode(), r.value().decode(), sep="\t")
            got += 1
    c.commit(asynchronous=False)
    committed = sum(p.offset for p in c.committed(c.assignment(), 10))
    if committed != int(n):
        sys.exit(f"{committed} messages committed, not {n}")
    c.close()


{"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
