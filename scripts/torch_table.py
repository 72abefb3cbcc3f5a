"""The measurements of scripts/torch-table.sh: torch_table.py <build folder> <runs of each>"""

import os
import re
import statistics
import subprocess
import sys
import time
import urllib.request

SIZES = [2, 4, 8]
# The store, its API, and whether its reads see all that was acknowledged before: EtcdStore's need not.
WAYS = [
    ("librdzv", "v2", "linearizable"),
    ("librdzv", "v2", "local"),
    ("librdzv", "v3", "linearizable"),
    ("librdzv", "v3", "local"),
    ("PyTorch EtcdStore", "v2", "local"),
]
ADDRESS = "127.0.12.13"


def requests_so_far(endpoint):
    """What etcd itself counts: requests for keys by the v2 API, and calls by the v3 API."""
    with urllib.request.urlopen(f"http://{endpoint}/metrics") as answer:
        text = answer.read().decode()
    return sum(
        int(float(value))
        for value in re.findall(r"^(?:etcd_http_received_total|grpc_server_started_total){.*} (\S+)$", text, re.M)
    )


def python_rank(endpoint, run_id, size):
    """One process of PyTorch's own: what examples/torch/allreduce.cpp does, over EtcdStore."""
    import datetime

    import torch
    from torch.distributed import PrefixStore, ProcessGroupGloo
    from torch.distributed.elastic.rendezvous import RendezvousParameters
    from torch.distributed.elastic.rendezvous.etcd_rendezvous_backend import create_backend

    print("ready", flush=True)
    sys.stdin.readline()
    start = time.monotonic()
    _, whole_store = create_backend(RendezvousParameters("etcd-v2", endpoint, run_id, size, size))
    store = PrefixStore(run_id, whole_store)
    rank = store.add("rank", 1) - 1
    options = ProcessGroupGloo._Options()
    options._devices = [ProcessGroupGloo.create_device(hostname=ADDRESS)]
    options._timeout = datetime.timedelta(seconds=60)
    group = ProcessGroupGloo(PrefixStore("gloo", store), rank, size, options)
    tensor = torch.full((4,), float(rank + 1))
    group.allreduce([tensor]).wait()
    took = (time.monotonic() - start) * 1000
    assert tensor.tolist() == [size * (size + 1) / 2] * 4, tensor
    print(took, flush=True)


def python_job(endpoint, size):
    command = [sys.executable, __file__, "--rank", endpoint, "table", str(size)]
    ranks = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(size)]
    for rank in ranks:
        assert rank.stdout.readline() == "ready\n"
    before = requests_so_far(endpoint)
    for rank in ranks:
        rank.stdin.write("\n")
        rank.stdin.flush()
    times = [float(rank.stdout.readline()) for rank in ranks]
    for rank in ranks:
        assert rank.wait() == 0
    return max(times), requests_so_far(endpoint) - before


def library_job(allreduce, endpoint, size, api, consistency):
    before = requests_so_far(endpoint)
    command = [allreduce, str(size), "--endpoint", endpoint, "--api", api, "--on", ADDRESS]
    command += ["--options", f"consistency={consistency}"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    last = re.search(r"^N=\d+: first collective after ([0-9.]+) ms", output, re.M)
    return float(last.group(1)), requests_so_far(endpoint) - before


def measure(build, name, api, consistency, size):
    """One measurement in a process of its own under an etcd of its own."""
    command = [f"{build}/c-tests/torch/with_etcd", sys.executable, __file__, "--measure"]
    command += [build, name, api, consistency, str(size)]
    environment = {**os.environ, "RDZV_TEST_API": api}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    milliseconds, requests = output.split()
    return float(milliseconds), int(requests)


def main(build, runs):
    figures = {(size, way): [] for size in SIZES for way in WAYS}
    for _ in range(runs):
        for size, way in figures:
            figures[size, way].append(measure(build, *way, size))
    print(f"First all-reduce of N processes, {runs} runs of each in turn: median (least to most).\n")
    print("| N | store | API | reads | time, ms | etcd requests |")
    print("|---|---|---|---|---|---|")
    for (size, (name, api, reads)), results in figures.items():
        times, requests = zip(*results)
        print(
            f"| {size} | {name} | {api} | {reads} | {statistics.median(times):.0f} ({min(times):.0f} to {max(times):.0f})"
            f" | {statistics.median(requests):.0f} ({min(requests)} to {max(requests)}) |"
        )


if __name__ == "__main__":
    if sys.argv[1] == "--rank":
        python_rank(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1] == "--measure":
        _, _, folder, store_name, store_api, store_reads, processes = sys.argv
        etcd = os.environ["RDZV_TEST_ENDPOINT"]
        if store_name == "librdzv":
            program = f"{folder}/examples/torch/torch_allreduce"
            found = library_job(program, etcd, int(processes), store_api, store_reads)
        else:
            found = python_job(etcd, int(processes))
        print(*found)
    else:
        main(sys.argv[1], int(sys.argv[2]))
