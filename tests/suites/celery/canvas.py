"""Runs a canvas of Celery's tasks with a worker of its own. Prints PASS NAME or FAIL NAME, then counts.

Every test runs twice: with results as messages (rpc), and with results in files, which alone of the two knows chords.
"""
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from base64 import b64encode
from datetime import datetime, timedelta, timezone

WAIT = 60  # seconds until a result


def chain_passes_results_on():
    assert chain(add.s(1, 2), add.s(3), add.s(4))().get(WAIT) == 10


def group_gathers_a_hundred():
    assert group(add.s(i, i) for i in range(100))().get(WAIT) == [2 * i for i in range(100)]


def starmap_and_chunks():
    assert add.starmap([(1, 1), (2, 2)]).delay().get(WAIT) == [2, 4]
    assert add.chunks([(i, 1) for i in range(30)], 7)().get(WAIT)[0] == [1, 2, 3, 4, 5, 6, 7]


def retry_with_countdown():
    assert stubborn.delay(3).get(WAIT) == 3


def countdown_waits():
    began = time.time()
    ran = clock.apply_async(countdown=3).get(WAIT)
    assert 2.9 <= ran - began < 8, ran - began


def eta_waits():
    at = datetime.now(timezone.utc) + timedelta(seconds=5)
    ran = clock.apply_async(eta=at).get(WAIT)
    assert -0.1 <= ran - at.timestamp() < 5, ran - at.timestamp()


def later_first_does_not_hold_up_sooner():
    late, soon = clock.apply_async(countdown=9), clock.apply_async(countdown=2)
    assert soon.get(WAIT) < late.get(WAIT) - 4


def errors_come_back():
    try:
        wrong.delay().get(WAIT)
    except ValueError as e:
        assert str(e) == "wrong on purpose"
        return
    raise AssertionError("no error came back")


def worker_lost_is_delivered_again():
    with tempfile.TemporaryDirectory() as d:
        assert fatal.delay(os.path.join(d, "marker")).get(WAIT) is True


def expired_is_not_run():
    r = clock.apply_async(countdown=3, expires=1)
    try:
        r.get(WAIT)
    except TaskRevokedError:
        return
    raise AssertionError("it ran")


def thousand_tasks():
    results = [add.delay(i, 1) for i in range(1000)]
    assert [r.get(WAIT) for r in results] == list(range(1, 1001))


def chord_gathers():
    assert chord((add.s(i, 1) for i in range(20)), total.s())().get(WAIT) == 210


def chord_in_a_chain():
    c = chain(add.s(1, 1), group(add.s(i) for i in range(5)), total.s(), add.s(100))
    assert c().get(WAIT) == 120


def group_of_chains_in_a_chord():
    parts = [chain(add.s(i, 1), add.s(1)) for i in range(5)]
    assert chord(parts, chain(total.s(), add.s(1)))().get(WAIT) == 21


def chord_of_a_failure_says_so():
    try:
        chord([add.s(1, 1), wrong.s()], total.s())().get(WAIT)
    except (ChordError, ValueError):
        return
    raise AssertionError("the chord succeeded")


def queues_are_quorum_queues():
    request = urllib.request.Request("http://127.0.0.1:15672/api/queues")
    request.add_header("Authorization", "Basic " + b64encode(b"guest:guest").decode())
    kinds = {q["name"]: q["type"] for q in json.load(urllib.request.urlopen(request))}
    assert kinds["tasks"] == "quorum", kinds
    delayed = [k for n, k in kinds.items() if n.startswith("celery_delayed_")]
    assert len(delayed) == 28 and set(delayed) == {"quorum"}, kinds


TESTS = [f for n, f in list(globals().items()) if inspect.isfunction(f) and f.__module__ == __name__]


def run(tests, kind, log):
    """Runs tests with one worker."""
    here = os.path.dirname(os.path.abspath(__file__))
    failed = 0
    with open(log, "w", encoding="utf-8") as out, subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "4", "-n", kind + "@canvas"],
            cwd=here, stdout=out, stderr=out) as worker:
        try:
            for test in tests:
                began = time.time()
                try:
                    test()
                    print(f"PASS {kind} {test.__name__} ({time.time() - began:.1f} s)", flush=True)
                except Exception:  # pylint: disable=broad-exception-caught
                    failed += 1
                    print(f"FAIL {kind} {test.__name__}\n{traceback.format_exc()}", flush=True)
        finally:
            worker.terminate()
            worker.wait(30)
    if failed:
        with open(log, encoding="utf-8") as said:
            print(said.read()[-4000:])
    return failed


def main():
    """Runs itself once for each kind of results, which Celery takes once a process."""
    if len(sys.argv) == 3:
        kind, log = sys.argv[1:]
        tests = [t for t in TESTS if kind == "files" or not t.__name__.startswith(("chord", "group_of"))]
        failed = run(tests, kind, log)
        print(len(tests) - failed, failed)
        return
    counts = [0, 0]
    for kind in ("rpc", "files"):
        with tempfile.TemporaryDirectory() as d:
            env = dict(os.environ, CANVAS_BACKEND="rpc://" if kind == "rpc" else "file://" + d)
            log = os.path.join(os.environ.get("SUITES_CACHE", "/tmp/trine-suites"), f"celery-{kind}-worker.log")
            out = subprocess.run([sys.executable, __file__, kind, log], env=env, stdout=subprocess.PIPE, text=True,
                                 check=False).stdout
        lines = out.splitlines()
        print("\n".join(lines[:-1]))
        counts = [c + int(n) for c, n in zip(counts, lines[-1].split())]
    print(f"celery: {counts[0]} passed, {counts[1]} failed, 0 skipped")
    sys.exit(counts[1] > 0 or not counts[0])


if __name__ == "__main__":
    if len(sys.argv) == 3:
        from celery import chain, chord, group
        from celery.exceptions import ChordError, TaskRevokedError
        from tasks import add, clock, fatal, stubborn, total, wrong
    main()
