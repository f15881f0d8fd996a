"""The tasks that canvas.py puts together, over quorum queues. Task texts come from this page alone."""
import os
import time

from celery import Celery

app = Celery("canvas", broker="amqp://guest:guest@localhost:5672//", backend=os.environ["CANVAS_BACKEND"])
app.conf.update(
    task_default_queue="tasks",
    task_default_queue_type="quorum",
    task_default_exchange="tasks",
    task_default_exchange_type="topic",  # Celery delays tasks in the broker only behind a topic exchange
    task_default_routing_key="tasks",
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    result_persistent=True,
    result_chord_retry_interval=0.5,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def stubborn(self, failures):
    """Fails so many times before it says how often it was tried again."""
    if self.request.retries < failures:
        raise self.retry(countdown=1)
    return self.request.retries


@app.task(bind=True)
def fatal(self, marker):
    """Ends the process that runs it the first time; then says whether it was delivered again."""
    if not os.path.exists(marker):
        open(marker, "w", encoding="utf-8").close()
        os._exit(1)
    return self.request.delivery_info["redelivered"]


@app.task
def wrong():
    raise ValueError("wrong on purpose")


@app.task
def clock():
    return time.time()
