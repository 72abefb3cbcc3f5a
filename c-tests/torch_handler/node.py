"""A Python node of a run, driven as node.cpp is: PyTorch's own backend and handler, with the same timeouts.

node.py ENDPOINT RUN_ID MIN MAX ADDRESS
"""

import datetime
import sys
import time

import torch
from torch.distributed import PrefixStore, ProcessGroupGloo
from torch.distributed.elastic.rendezvous import RendezvousClosedError, RendezvousParameters
from torch.distributed.elastic.rendezvous.dynamic_rendezvous import create_handler
from torch.distributed.elastic.rendezvous.etcd_rendezvous_backend import create_backend

TIMEOUT = datetime.timedelta(seconds=60)
# Strings, as torchrun hands them on.
OPTIONS = {"last_call_timeout": "3", "join_timeout": "60", "close_timeout": "10"}


class Node:
    def __init__(self, endpoint, run_id, min_nodes, max_nodes, address):
        params = RendezvousParameters("etcd-v2", endpoint, run_id, int(min_nodes), int(max_nodes), **OPTIONS)
        backend, store = create_backend(params)
        store.set_timeout(TIMEOUT)
        self.handler = create_handler(store, backend, params)
        # PyTorch 1.13 has no option for it; the handler and all its parts share this object.
        object.__setattr__(self.handler.settings, "keep_alive_interval", datetime.timedelta(seconds=1))
        self.address = address

    def join(self):
        start = time.monotonic()
        try:
            place = self.handler.next_rendezvous()
        except RendezvousClosedError:
            return "closed"
        # A tuple in PyTorch 1.13, an object since.
        self.store, self.rank, self.size = (
            place if isinstance(place, tuple) else (place.store, place.rank, place.world_size)
        )
        took = (time.monotonic() - start) * 1000
        return f"joined {self.rank} {self.size} {self.handler._state_holder.state.round} {took}"

    def reduce(self):
        options = ProcessGroupGloo._Options()
        options._devices = [ProcessGroupGloo.create_device(hostname=self.address)]
        options._timeout = TIMEOUT
        group = ProcessGroupGloo(PrefixStore("gloo", self.store), self.rank, self.size, options)
        tensor = torch.full((4,), float(self.rank + 1))
        group.allreduce([tensor]).wait()
        group.barrier().wait()
        return f"sum {int(tensor[3].item())}"

    def waiting(self):
        return f"waiting {self.handler.num_nodes_waiting()}"

    def closed(self):
        return f"is_closed {int(self.handler.is_closed())}"

    def close(self):
        self.handler.set_closed()
        return "has_closed"


def main():
    node = Node(*sys.argv[1:])
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            answer = getattr(node, line.strip())()
        except Exception as error:
            answer = f"error {type(error).__name__}: {error}"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
