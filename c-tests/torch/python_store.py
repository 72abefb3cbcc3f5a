"""PyTorch's own EtcdStore, and C10dStore or the C API in another process, on the same keys."""

import datetime
import multiprocessing
import threading
import time
import unittest

from peer import ENDPOINT, Failed, Peer
from torch.distributed import PrefixStore
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.etcd_rendezvous_backend import create_backend

# Such as have no "/" in their base64, whatever is before them.
KEYS = ["key", "a/b", "a//b", "default_pg/0//cpu//0/0", "eünï", "with space", "x" * 200, "%2F", ".", "="]
VALUES = [b"text", b"\0", bytes(range(256)), b"\xff\xfe=\n", b"0" * (1 << 20)]


def python_store(timeout=60):
    parameters = RendezvousParameters("etcd-v2", ENDPOINT, "run", 1, 4)
    _, store = create_backend(parameters)
    store.set_timeout(datetime.timedelta(seconds=timeout))
    return store


def add_many(key, amount, times, sums):
    """A third process, with a store of its own."""
    store = python_store()
    sums.put([store.add(key, amount) for _ in range(times)])


class BothWays:
    kind = ""

    @classmethod
    def setUpClass(cls):
        cls.peer = Peer(cls.kind)

    @classmethod
    def tearDownClass(cls):
        cls.peer.close()

    def setUp(self):
        self.python = python_store()
        self.prefix = self.id() + "/"

    def test_keys_and_values_that_python_writes(self):
        for key in KEYS:
            self.python.set(self.prefix + key, key)
        for key in KEYS:
            self.assertEqual(self.peer.get(self.prefix + key), key.encode(), key)
        for value in VALUES:
            self.python.set(self.prefix + "value", value)
            self.assertEqual(self.peer.get(self.prefix + "value"), value)

    def test_keys_and_values_that_the_library_writes(self):
        for key in KEYS:
            self.peer.set(self.prefix + key, key)
        for key in KEYS:
            self.assertEqual(self.python.get(self.prefix + key), key.encode(), key)
        for value in VALUES:
            self.peer.set(self.prefix + "value", value)
            self.assertEqual(self.python.get(self.prefix + "value"), value)

    def test_an_empty_value(self):
        self.peer.set(self.prefix + "theirs", b"")
        self.assertEqual(self.python.get(self.prefix + "theirs"), b"")
        self.python.set(self.prefix + "ours", b"")
        self.assertEqual(self.peer.get(self.prefix + "ours"), b"")

    def test_a_key_whose_base64_holds_a_slash(self):
        """Python writes such a key and cannot read it. The library reads what Python has written, unless the slash is
        at the end: etcd drops it, and the library keeps such a key elsewhere."""
        self.python.set("aa?b", self.kind)
        self.assertEqual(self.peer.get("aa?b"), self.kind.encode())
        self.peer.set("aa?b", b"again")
        self.peer.set("???", b"elsewhere")
        self.assertEqual(self.peer.get("aa?b"), b"again")
        self.assertEqual(self.peer.get("???"), b"elsewhere")
        self.python.set_timeout(datetime.timedelta(milliseconds=200))
        for key in ["aa?b", "???"]:
            with self.assertRaises(LookupError):
                self.python.get(key)
            self.assertTrue(self.peer.delete(key))

    def test_check_and_delete(self):
        key = self.prefix + "key"
        self.assertFalse(self.peer.check([key]))
        self.assertFalse(self.python.check([key]))
        self.python.set(key, "1")
        self.assertTrue(self.peer.check([key, key]))
        self.assertTrue(self.peer.delete(key))
        self.assertFalse(self.python.check([key]))
        self.peer.set(key, "2")
        self.assertTrue(self.python.check([key]))

    def test_what_python_cannot_do_is_read_by_it(self):
        key = self.prefix + "key"
        self.python.set(key, "a")
        self.assertEqual(self.peer.compare_set(key, "a", "b"), b"b")
        self.assertEqual(self.peer.compare_set(key, "a", "c"), b"b")
        self.peer.append(key, b"\0c")
        self.assertEqual(self.python.get(key), b"b\0c")

    def test_a_counter_is_the_same_on_both_sides(self):
        key = self.prefix + "count"
        self.assertEqual(self.python.add(key, 5), 5)
        self.assertEqual(self.peer.add(key, -7), -2)
        self.assertEqual(self.python.add(key, 10), 8)
        self.assertEqual(self.peer.add(key, 0), 8)
        self.assertEqual(self.peer.get(key), b"8")
        self.python.set(key, "41")
        self.assertEqual(self.peer.add(key, 1), 42)
        self.peer.set(key, "99")
        self.assertEqual(self.python.add(key, 1), 100)

    def test_interleaved_adds_are_exact(self):
        """No addition is lost and none counts twice: every sum from 1 to the last comes out once."""
        key = self.prefix + "count"
        other = Peer("c10d" if self.kind == "c" else "c")
        sums = multiprocessing.Queue()
        python = multiprocessing.Process(target=add_many, args=(key, 1, 60, sums))
        python.start()
        self.peer.send_add(key, 1, 150)
        other.send_add(key, 1, 150)
        mine = [self.python.add(key, 1) for _ in range(60)]
        every = mine + sums.get(timeout=60) + self.peer.answer_add() + other.answer_add()
        python.join()
        other.close()
        self.assertEqual(sorted(every), list(range(1, 421)))
        self.assertEqual(self.peer.add(key, 0), 420)

    def test_the_library_waits_for_python(self):
        keys = [self.prefix + "1", self.prefix + "2"]
        self.peer.send_wait(keys, 30000)
        time.sleep(0.2)
        for key in keys:
            self.python.set(key, key)
        self.peer.answer()
        self.peer.send_get(self.prefix + "3")
        time.sleep(0.2)
        self.python.set(self.prefix + "3", b"\1\2")
        self.assertEqual(self.peer.answer_get(), b"\1\2")

    def test_python_waits_for_the_library(self):
        keys = [self.prefix + "1", self.prefix + "2"]

        def later():
            time.sleep(0.2)
            for key in keys:
                self.peer.set(key, key)

        thread = threading.Thread(target=later)
        thread.start()
        self.python.wait(keys)
        self.assertEqual(self.python.get(keys[1]), keys[1].encode())
        thread.join()

    def test_timeouts(self):
        started = time.monotonic()
        with self.assertRaisesRegex(Failed, "TIMEOUT"):
            self.peer.wait([self.prefix + "never"], 300)
        self.assertLess(time.monotonic() - started, 30)
        with self.assertRaisesRegex(Failed, "TIMEOUT"):
            self.peer.wait([self.prefix + "never"], 0)

    def test_a_prefix_of_pytorch(self):
        PrefixStore("p", PrefixStore(self.prefix, self.python)).set("key", "1")
        self.assertEqual(self.peer.get(f"{self.prefix}/p/key"), b"1")


class OverC10dStore(BothWays, unittest.TestCase):
    kind = "c10d"


class OverC(BothWays, unittest.TestCase):
    kind = "c"


if __name__ == "__main__":
    unittest.main(verbosity=2)
