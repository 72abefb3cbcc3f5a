"""Python's own init_process_group over the library, by the module of examples/torch/pybind.cpp."""

import datetime
import os
import subprocess
import sys
import threading
import time
import unittest

import rdzv_torch
import torch
import torch.distributed as dist

ENDPOINT = os.environ["RDZV_TEST_ENDPOINT"]
OPTIONS = "store_timeout=60,reconnect_timeout=1,api=" + os.environ.get("RDZV_TEST_API", "auto")


def rank_main(rank, size):
    store = rdzv_torch.store(ENDPOINT, "pybind_group", OPTIONS)
    dist.init_process_group(
        "gloo", store=store, rank=rank, world_size=size, timeout=datetime.timedelta(seconds=60)
    )
    tensor = torch.full((3,), float(rank + 1))
    dist.all_reduce(tensor)
    assert tensor.tolist() == [size * (size + 1) / 2] * 3, tensor
    half = dist.new_group([0, 1])
    if rank < 2:
        dist.broadcast(tensor, src=1, group=half)
    dist.barrier()
    gathered = [None] * size
    dist.all_gather_object(gathered, {"rank": rank})
    assert gathered == [{"rank": i} for i in range(size)], gathered
    dist.destroy_process_group()


class Pybind(unittest.TestCase):
    def test_a_group_of_three(self):
        processes = [subprocess.Popen([sys.executable, __file__, str(rank), "3"]) for rank in range(3)]
        self.assertEqual([process.wait(100) for process in processes], [0, 0, 0])

    def test_it_is_a_store(self):
        store = rdzv_torch.store(ENDPOINT, "pybind_store", OPTIONS)
        self.assertIsInstance(store, dist.Store)
        store.set("key", "value")
        self.assertEqual(store.get("key"), b"value")
        self.assertEqual(store.add("count", 2), 2)
        self.assertTrue(store.delete_key("count"))
        self.assertEqual(dist.PrefixStore("p", store).add("count", 3), 3)
        self.assertEqual(store.get("p/count"), b"3")
        self.assertEqual(store.compare_set("key", "value", "new"), b"new")
        self.assertGreater(store.num_keys(), 0)

    def test_exceptions(self):
        store = rdzv_torch.store(ENDPOINT, "pybind_errors", OPTIONS)
        timeout = getattr(dist, "DistStoreError", TimeoutError)
        with self.assertRaisesRegex(timeout, "imeout.*never"):
            store.wait(["never"], datetime.timedelta(milliseconds=50))
        store.set("text", "no number")
        with self.assertRaises(ValueError):
            store.add("text", 1)
        with self.assertRaisesRegex(RuntimeError, "connection to etcd"):
            rdzv_torch.store("127.0.0.1:1", "run", OPTIONS)

    def test_a_thread_that_waits_leaves_python_to_the_others(self):
        store = rdzv_torch.store(ENDPOINT, "pybind_threads", OPTIONS)
        values = []
        waiter = threading.Thread(target=lambda: values.append(store.get("later")))
        waiter.start()
        time.sleep(0.1)
        store.set("later", "now")
        waiter.join(30)
        self.assertEqual(values, [b"now"])


if __name__ == "__main__":
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    if len(sys.argv) == 3:
        rank_main(int(sys.argv[1]), int(sys.argv[2]))
    else:
        unittest.main(verbosity=2)
