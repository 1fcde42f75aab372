"""A server with many clients at once: nothing lost, memory flat, and a kill that loses no result.

    python benchmarks/serving.py [--clients 50] [--minutes 10] [--model srcnn_x4]

Each client sends small pictures one after another, as fast as they are taken: it waits where the
server says "too many", follows each job by its events, and holds the result against the first one
of its picture. After a quarter of the time the server is killed (SIGKILL) and started anew: jobs
that were done before must still have their results, and those that were not must be done after.
Memory is read each second; it is flat if the last quarter's is at most 1.1 times the second's.
"""

import argparse
import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from web_server import Client  # noqa: E402

PICTURES = 8
FLAT = 1.1
GONE = (OSError, http.client.HTTPException)
"""What a client meets while the server is down."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--model", default="srcnn_x4")
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(measure(Path(folder), options))


def measure(folder, options):
    load = Load(options)
    server = start(folder, load)
    threads = [threading.Thread(target=load.client, args=(n,)) for n in range(options.clients)]
    for thread in threads:
        thread.start()
    seconds, memory = round(options.minutes * 60), []
    for second in range(seconds):
        time.sleep(1)
        memory.append(resident(server.pid))
        if second == seconds // 4:
            load.is_down.set()
            server.kill()
            server.wait()
            server = start(folder, load)
            load.is_down.clear()
    load.is_over.set()
    for thread in threads:
        thread.join()
    server.send_signal(signal.SIGINT)
    server.wait(30)
    return report(load, memory)


def start(folder, load):
    """Start a server on the folder, and wait until it answers."""
    command = [sys.executable, "-m", "gluon_enhance", "serve", "--port", str(load.port or 0)]
    server = subprocess.Popen(
        [*command, "--folder", folder / "jobs"], stdout=subprocess.PIPE, text=True
    )
    line = server.stdout.readline()
    load.port = int(line.split("/")[2].rpartition(":")[2])
    while True:
        try:
            Client(load.port).get("/api/openapi.json")
            return server
        except GONE:
            time.sleep(0.1)


def resident(pid):
    """Return a process's memory in MB."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Load:
    """What the clients do, and what they saw."""

    def __init__(self, options):
        self.options, self.port, self.counts = options, None, Counter()
        self.is_over, self.is_down = threading.Event(), threading.Event()
        self.faults, self.waits, self._lock, self._results = [], [], threading.Lock(), {}
        rng = np.random.default_rng(0)
        shape = (options.size, options.size, 3)
        pictures = (rng.integers(0, 256, shape, np.uint8) for _ in range(PICTURES))
        self.pictures = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]

    def client(self, number):
        """Send pictures until it is over."""
        ask, chance = None, random.Random(number)
        while not self.is_over.is_set():
            try:
                ask = ask or self.session()
                self.one(ask, chance.randrange(PICTURES))
            except GONE:
                self.counts["interrupted"] += 1
                time.sleep(0.2)
            except Exception as error:
                self.fault(f"{type(error).__name__}: {error}")

    def session(self):
        ask = Client(self.port)
        ask("POST", "/api/session")
        return ask

    def one(self, ask, picture):
        """Have one picture enhanced, and look at the result."""
        began = time.perf_counter()
        files = [("file", "a.png", self.pictures[picture])]
        answer = ask.post("/api/jobs", [("model", self.options.model)], files)
        if answer.status == 429:
            self.counts["told to wait"] += 1
            time.sleep(min(5, int(answer.headers["Retry-After"])))
            return
        if answer.status != 202:
            self.fault(f"{answer.status} {answer.body[:200]}")
            return
        self.counts["taken"] += 1
        self.follow(ask, answer.json["id"], picture)
        self.waits.append(time.perf_counter() - began)

    def follow(self, ask, job_id, picture):
        """Wait for a job, through a restart too, and hold its result against the others'."""
        while True:
            try:
                ask.get(f"/api/jobs/{job_id}/events", timeout=300)
                job = ask.get(f"/api/jobs/{job_id}")
                if job.status != 200 or job.json["status"] not in ("waiting", "running", "done"):
                    self.fault(f"job {job_id}: {job.status} {job.body[:300]}")
                    return
                if job.json["status"] == "done":
                    self.check(ask.get(f"/api/jobs/{job_id}/result"), picture)
                    with suppress(*GONE):
                        ask("DELETE", f"/api/jobs/{job_id}")
                    return
            except GONE:
                self.counts["interrupted"] += 1
                time.sleep(0.2)

    def check(self, result, picture):
        digest = hashlib.sha256(result.body).hexdigest()
        with self._lock:
            first = self._results.setdefault(picture, digest)
            self.counts["done"] += 1
        if result.status != 200 or digest != first:
            self.fault(f"a result differs: {result.status}, {len(result.body)} bytes")

    def fault(self, text):
        with self._lock:
            self.faults.append(text)


def report(load, memory):
    """Print what came out; return the exit status."""
    quarter = len(memory) // 4
    begin, end = (float(np.median(memory[part])) for part in (np.s_[quarter : 2 * quarter],
                                                              np.s_[-quarter:]))  # fmt: skip
    lost = load.counts["taken"] - load.counts["done"]
    is_flat = end <= FLAT * begin
    print(json.dumps(load.counts))
    print(f"lost: {lost}; faults: {len(load.faults)} {load.faults[:5]}")
    if load.waits:
        middle, slow = np.percentile(load.waits, [50, 95])
        print(f"from sending to the result: median {middle:.2f} s, 95% within {slow:.2f} s")
    largest = max(memory)
    print(f"memory: {begin:.0f} MB, in the last quarter {end:.0f} MB, at most {largest:.0f} MB")
    return int(lost != 0 or bool(load.faults) or not is_flat)


if __name__ == "__main__":
    main()
