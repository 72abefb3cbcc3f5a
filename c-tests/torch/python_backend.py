"""PyTorch's own EtcdRendezvousBackend and rdzv_set_state in another process, on one state."""

import unittest

from peer import ENDPOINT, Failed, Peer
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.etcd_rendezvous_backend import create_backend


def python_backend(run_id):
    backend, _ = create_backend(RendezvousParameters("etcd-v2", ENDPOINT, run_id, 1, 4))
    return backend


class State(unittest.TestCase):
    def setUp(self):
        # Such as people use: with what Python sends as it is.
        self.run_id = self.id().rsplit(".", 1)[-1] + "_1.2-3"
        self.python = python_backend(self.run_id)
        self.peer = Peer("c", self.run_id)

    def tearDown(self):
        self.peer.close()

    def test_there_is_no_state(self):
        self.assertIsNone(self.python.get_state())
        with self.assertRaisesRegex(Failed, "NOT_FOUND"):
            self.peer.get_state()

    def test_both_read_what_either_has_created(self):
        state, token, has_set = self.python.set_state(b"\0python\xff")
        self.assertTrue(has_set)
        self.assertEqual(self.peer.get_state(), (state, token))
        self.assertEqual(self.peer.set_state(b"late"), (state, token, False))

        self.run_id += "_other"
        self.python = python_backend(self.run_id)
        self.peer.close()
        self.peer = Peer("c", self.run_id)
        state, token, has_set = self.peer.set_state(b"\0library\xff")
        self.assertTrue(has_set)
        self.assertEqual(self.python.get_state(), (state, token))
        self.assertEqual(self.python.set_state(b"late"), (state, token, False))

    def test_tokens_hold_across(self):
        """Each side replaces what the other has written with the token that the other has got, and loses with an old
        one."""
        state, token, _ = self.python.set_state(b"0")
        for step in range(1, 20):
            side, opposite = (self.peer, self.python) if step % 2 else (self.python, self.peer)
            old = token
            state, token, has_set = side.set_state(b"%d" % step, old)
            self.assertTrue(has_set)
            self.assertEqual(state, b"%d" % step)
            self.assertNotEqual(token, old)
            self.assertEqual(opposite.set_state(b"late", old), (state, token, False))
            self.assertEqual(side.set_state(b"late", old), (state, token, False))
            self.assertEqual(opposite.get_state(), (state, token))
            self.assertEqual(side.get_state(), (state, token))

    def test_the_same_state_again_is_a_new_token(self):
        _, first, _ = self.python.set_state(b"same")
        _, second, has_set = self.peer.set_state(b"same", first)
        self.assertTrue(has_set)
        _, third, has_set = self.python.set_state(b"same", second)
        self.assertTrue(has_set)
        self.assertEqual(len({first, second, third}), 3)

    def test_large_and_empty_states(self):
        _, token, _ = self.python.set_state(b"x")
        large = bytes(range(256)) * 2000
        self.assertEqual(self.peer.set_state(large, token)[0], large)
        state, token = self.python.get_state()
        self.assertEqual(state, large)
        self.assertEqual(self.peer.set_state(b"", token)[0], b"")
        self.assertEqual(self.python.get_state()[0], b"")


if __name__ == "__main__":
    unittest.main(verbosity=2)
