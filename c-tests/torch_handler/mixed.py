"""A run of Python and C++ nodes: they agree on ranks and all-reduce; one dies and the others go on; it comes back late
and all go on together; one closes the run for all.

mixed.py API PYTHON_NODES CPP_NODES WHO_DIES WHO_CLOSES, the last two being python or cpp.
"""

import os
import sys

from peers import Etcd, Node, ask_all, until


def check(what, text):
    if not what:
        raise AssertionError(text)


def join_all(nodes, round_number):
    """All join the round, with different ranks, and all-reduce."""
    size = len(nodes)
    places = ask_all(nodes, "join")
    print(f"round {round_number}:", {str(node): place for node, place in zip(nodes, places)}, flush=True)
    check(all(place[0] == "joined" for place in places), places)
    check(sorted(int(place[1]) for place in places) == list(range(size)), "the ranks are not 0 to n - 1")
    check(all(place[2:4] == [str(size), str(round_number)] for place in places), "size or round differ")
    sums = ask_all(nodes, "reduce")
    check(all(answer == ["sum", str(size * (size + 1) // 2)] for answer in sums), sums)


def run(api, languages, dies, closes, endpoint):
    most, least = len(languages), max(1, len(languages) - 1)
    # An address of this run's own, so that nobody who tries free ports of the others' meets Gloo's.
    address = f"127.0.13.{os.getpid() % 250 + 1}"

    def start(number, language):
        return Node(language, number, api, endpoint, "mixed", least, most, address)

    nodes = [start(number, language) for number, language in enumerate(languages)]
    try:
        check(all(node.answer() == "ready" for node in nodes), "not ready")
        join_all(nodes, 0)

        # The last of its language, so that it has not always the same rank.
        victim = [node for node in nodes if node.language == dies][-1]
        victim.kill()
        nodes.remove(victim)
        if nodes:
            join_all(nodes, 1)

        back = start(most, dies)
        nodes.append(back)
        check(back.answer() == "ready", "not ready")
        back.ask("join")
        until(lambda: all(words == ["waiting", "1"] for words in ask_all(nodes[:-1], "waiting")))
        nodes.pop()
        for node in nodes:
            node.ask("join")
        places = [node.answer().split() for node in nodes + [back]]
        nodes.append(back)
        print("round 2:", {str(node): place for node, place in zip(nodes, places)}, flush=True)
        check(sorted(int(place[1]) for place in places) == list(range(most)), places)
        check(all(place[2:4] == [str(most), "2"] for place in places), places)
        sums = ask_all(nodes, "reduce")
        check(all(answer == ["sum", str(most * (most + 1) // 2)] for answer in sums), sums)

        # One that joins as the run is closed, one that asks, and those that join afterwards.
        closer = [node for node in nodes if node.language == closes][0]
        late = start(most + 1, dies)
        nodes.append(late)
        check(late.answer() == "ready", "not ready")
        late.ask("join")
        check(ask_all([closer], "close") == [["has_closed"]], "not closed")
        check(late.answer() == "closed", "the late one is not told")
        others = [node for node in nodes if node is not late]
        until(lambda: all(words == ["is_closed", "1"] for words in ask_all(others, "closed")))
        check(all(words == ["closed"] for words in ask_all(others, "join")), "somebody joined a closed run")
    finally:
        for node in nodes:
            node.kill()


def main():
    api, python, cpp, dies, closes = sys.argv[1:]
    languages = ["python"] * int(python) + ["cpp"] * int(cpp)
    with Etcd(api) as etcd:
        run(api, languages, dies, closes, etcd.endpoint)
    print("passed")


main()
