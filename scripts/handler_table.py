"""The table of handler-table.sh: handler_table.py PROGRAM RUNS, PROGRAM being benches/handler_scale.cpp."""

import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time

from torch.distributed.elastic.rendezvous import RendezvousParameters, dynamic_rendezvous
from torch.distributed.elastic.rendezvous.etcd_rendezvous_backend import create_backend

NODES = (2, 4, 8)


def python_node(endpoint, run_id, nodes, gate, results):
    """One process with PyTorch's own handler. Its clock is the one that all processes share."""
    params = RendezvousParameters("etcd-v2", endpoint, run_id, nodes, nodes)
    backend, store = create_backend(params)
    handler = dynamic_rendezvous.create_handler(store, backend, params)
    delay, starts = dynamic_rendezvous._delay, []

    def timed(seconds):
        delay(seconds)
        if isinstance(seconds, tuple):
            starts.append(time.monotonic())

    dynamic_rendezvous._delay = timed
    gate.wait()
    _, rank, size = handler.next_rendezvous()
    end = time.monotonic()
    assert size == nodes
    results.put((starts[0], end, rank))


def python_run(endpoint, run_id, nodes):
    gate, results = multiprocessing.Barrier(nodes), multiprocessing.Queue()
    arguments = (endpoint, run_id, nodes, gate, results)
    processes = [multiprocessing.Process(target=python_node, args=arguments) for _ in range(nodes)]
    for process in processes:
        process.start()
    times = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.kill()
        process.join()
    assert sorted(rank for _, _, rank in times) == list(range(nodes))
    return (max(end for _, end, _ in times) - max(start for start, _, _ in times)) * 1000


def library_run(program, endpoint, nodes):
    environment = dict(os.environ, RDZV_ENDPOINT=endpoint, RDZV_TEST_API="v2")
    output = subprocess.run([program, str(nodes)], env=environment, check=True, text=True, stdout=subprocess.PIPE).stdout
    return float(re.search(r"([\d.]+) ms from the last join", output).group(1))


def main():
    program, runs = sys.argv[1], int(sys.argv[2])
    print("| nodes | librdzv, ms | PyTorch, ms |\n|---|---|---|")
    for nodes in NODES:
        ours, theirs = [], []
        for _ in range(runs):
            # An etcd for each measurement, so that none meets what another has left.
            with subprocess.Popen([program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as etcd:
                endpoint = etcd.stdout.readline().strip()
                ours.append(library_run(program, endpoint, nodes))
                theirs.append(python_run(endpoint, "table", nodes))
                etcd.stdin.close()
        cells = [f"{statistics.median(each):.0f} ({min(each):.0f}-{max(each):.0f})" for each in (ours, theirs)]
        print(f"| {nodes} | {cells[0]} | {cells[1]} |", flush=True)
    print(f"\nMedian (least-most) of {runs} runs.")


if __name__ == "__main__":
    main()
