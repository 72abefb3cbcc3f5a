"""A Gloo group of two ranks, one of Python over PyTorch's EtcdStore, one of C++ over C10dStore: they all-reduce."""

import datetime
import os
import subprocess
import unittest

import torch
from peer import ENDPOINT
from torch.distributed import PrefixStore, ProcessGroupGloo
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.etcd_rendezvous_backend import create_backend

ALLREDUCE = os.environ["RDZV_TEST_ALLREDUCE"]
# One that nobody else tries ports of.
ADDRESS = "127.0.12.12"
TIMEOUT = datetime.timedelta(seconds=60)


class Group(unittest.TestCase):
    def all_reduce(self, rank):
        run_id = f"group_with_python_as_{rank}"
        other = subprocess.Popen(
            [ALLREDUCE, "2", "--join", "--rank", str(1 - rank), "--endpoint", ENDPOINT, "--run-id", run_id, "--api", "v2", "--on", ADDRESS],
            stdout=subprocess.PIPE,
            text=True,
        )
        _, store = create_backend(RendezvousParameters("etcd-v2", ENDPOINT, run_id, 1, 2))
        store.set_timeout(TIMEOUT)
        options = ProcessGroupGloo._Options()
        options._devices = [ProcessGroupGloo.create_device(hostname=ADDRESS)]
        options._timeout = TIMEOUT
        group = ProcessGroupGloo(PrefixStore(f"{run_id}/gloo", store), rank, 2, options)
        tensor = torch.full((4,), float(rank + 1))
        group.allreduce([tensor]).wait()
        output, _ = other.communicate(timeout=60)
        self.assertEqual(other.returncode, 0, output)
        self.assertIn("sum 3,", output)
        self.assertEqual(tensor.tolist(), [3.0] * 4)

    def test_python_is_rank_0(self):
        self.all_reduce(0)

    def test_python_is_rank_1(self):
        self.all_reduce(1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
