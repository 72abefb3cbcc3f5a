"""Writes what scripts/bench.sh measured into docs/performance.md, between its markers, and the plots beside it.

    bench_report.py RESULTS [FOLDER]

RESULTS has one JSON object a line. The text of FOLDER's performance.md outside of the markers is left alone. The table
of targets is printed in any case.
"""

import json
import math
import re
import sys
from pathlib import Path

COLORS = ("#1f5fa8", "#c2501a", "#2d7d46", "#7a3f98", "#777777", "#b8860b")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] + ["--:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


class Results:
    def __init__(self, path):
        self.rows = [json.loads(line) for line in Path(path).read_text(encoding="ascii").splitlines()]
        self.run = self.find(operation="run")[0]

    def find(self, **wanted):
        return [row for row in self.rows if all(row.get(name) == value for name, value in wanted.items())]

    def peer(self, name, operation):
        found = self.find(peer=name, operation=operation.split(" / ")[0])
        return f"{found[0]['p50_us']:.0f} ({found[0]['p50_us'] / found[0]['floor_p50_us']:.1f})" if found else "–"


def about(results):
    run = results.run
    versions = sorted({(row["api"], row["etcd"]) for row in results.rows if "etcd" in row})
    etcds = ", ".join(f"etcd {etcd} for {api}" for api, etcd in versions)
    size = int(run["stripped_bytes"]) / 1e6
    return (
        f"{run['date']}, commit {run['commit']}; {run['cpus']} processors ({run['cpu']}), Linux {run['kernel']};"
        f" {etcds}; “disk” is {run['disk']}. The stripped library has {size:.2f} MB."
    )


def single(results, api, disk):
    peers = api == "v2" and disk == "tmpfs" and results.find(peer="EtcdStore")
    head = ["operation", "p50, µs", "floor", "ratio", "p99, µs", "floor's", "requests", "allocations"]
    rows = []
    for row in results.find(api=api, disk=disk):
        if "ratio" not in row or "floor_p99_us" not in row:
            continue
        operation = row["operation"]
        counted = row["requests"] > 0
        cells = [operation, f"{row['p50_us']:.0f}", f"{row['floor_p50_us']:.0f}", f"**{row['ratio']:.2f}**"]
        cells += [f"{row['p99_us']:.0f}", f"{row['floor_p99_us']:.0f}"]
        cells += [f"{row['requests']:.0f}", f"{row['allocations']:.0f}"] if counted else ["–", "–"]
        rows.append(cells + ([results.peer(name, operation) for name in ("EtcdStore", "TCPStore")] if peers else []))
    return table(head + (["EtcdStore, µs (ratio)", "TCPStore, µs (ratio)"] if peers else []), rows)


def contention(results):
    rows = []
    for api in ("v2", "v3"):
        for row in results.find(api=api, operation="contention", disk="tmpfs"):
            how = "one each" if row["clients"] == row["threads"] else "one for all"
            rows.append((f"librdzv {api}", row["threads"], how, row["adds_per_s"], f"{row['requests']:.2f}"))
    for row in (row for row in results.find(operation="contention") if "peer" in row):
        rows.append((row["peer"], row["threads"], "one each", row["adds_per_s"], "–"))
    return table(("store", "threads", "clients", "adds per second", "requests per add"), rows)


def keys(results):
    rows = []
    for count in (10, 100, 1000, 10_000, 100_000):
        cells = [f"{count:,}"]
        for api in ("v2", "v3"):
            found = results.find(api=api, operation="keys", keys=count)
            cells += [f"{found[0]['p50_us']:.0f}", f"**{found[0]['ratio']:.2f}**"] if found else ["–", "–"]
        found = results.find(peer="EtcdStore", operation="keys", keys=count)
        rows.append(cells + [f"{found[0]['p50_us']:.0f}" if found else "–"])
    return table(("keys", "v2, µs", "to 10 keys", "v3, µs", "to 10 keys", "EtcdStore, µs"), rows)


def waiters(results):
    rows = []
    for count in (1, 4, 16, 64, 256, 1024):
        cells = [f"{count:,}"]
        for api in ("v2", "v3"):
            found = results.find(api=api, operation="waiters", waiters=count)
            cells += [f"{found[0]['last_us']:.0f}", f"{found[0]['floor_last_us']:.0f}"] if found else ["–", "–"]
        for peer in ("EtcdStore", "TCPStore"):
            found = results.find(peer=peer, operation="waiters", waiters=count)
            cells.append(f"{found[0]['last_us']:.0f}" if found else "–")
        rows.append(cells)
    return table(("waiters", "v2, µs", "floor", "v3, µs", "floor", "EtcdStore, µs", "TCPStore, µs"), rows)


class Targets:
    """What docs/performance.md promises to look at: each a limit, and a figure for each API."""

    def __init__(self, results):
        self.results, self.rows = results, []

    def ratio(self, operation):
        """The ratio to the floor; of a conditional write under v3, to the same transaction."""

        def of(api):
            names = (operation, f"{operation} / same txn")
            found = [row for row in self.results.find(api=api, disk="tmpfs") if row["operation"] in names]
            return found[0]["ratio"] if found else None

        return of

    def value(self, name, **wanted):
        def of(api):
            found = self.results.find(api=api, **wanted)
            return found[0][name] if found else None

        return of

    def speed_up(self, api):
        peer = self.results.find(peer="EtcdStore", operation="contention", threads=16)
        ours = self.results.find(api=api, operation="contention", threads=16, clients=16)
        return ours[0]["adds_per_s"] / peer[0]["adds_per_s"] if peer and ours else None

    def row(self, what, limit, figure, v3_limit=None, least=False, digits=2):
        cells = []
        for api, most in (("v2", limit), ("v3", v3_limit or limit)):
            value = figure(api)
            if value is None:
                cells.append("–")
                continue
            met = value >= most if least else value <= most
            cells.append(f"{value:.{digits}f}" if met else f"**{value:.{digits}f}**, missed")
        sign = "≥" if least else "≤"
        bound = f"{sign} {limit:g}" + (f", v3 {sign} {v3_limit:g}" if v3_limit else "")
        self.rows.append((what, bound, *cells))

    def table(self):
        for operation in ("get", "get_state", "set", "set_state", "compare_set"):
            self.row(f"{operation}, to the floor", 1.1, self.ratio(operation))
        self.row("add, to one request's floor", 2.1, self.ratio("add, warm"), v3_limit=1.1)
        self.row("wait + get, to two requests' floor", 1.1, self.ratio("wait + get"))
        self.row("wake-up of a get, to a raw long-poll or watch", 1.25, self.ratio("wake-up of a get"))
        self.row("get, 100,000 keys to 10", 1.1, self.value("ratio", operation="keys", keys=100_000))
        self.row("16 clients on one counter, to EtcdStore", 3, self.speed_up, least=True, digits=1)
        last = self.value("last_s", operation="release", waiters=4096)
        self.row("4,096 waiters, seconds until the last has it", 5, last)
        first = self.value("requests_to_first_result", operation="weight")
        self.row("requests to the first result", 3, first, digits=0)
        self.row("threads started", 0, self.value("threads_started", operation="weight"), digits=0)
        size = int(self.results.run["stripped_bytes"]) / 1e6
        self.row("MB of the stripped library, with TLS", 3, lambda _: size)
        return table(("target", "limit", "v2", "v3"), self.rows)


def costs(results):
    rows = []
    for operation in ("floor", "get", "set", "get_state", "set_state", "add", "compare_set"):
        cells = [operation]
        for api in ("v2", "v3"):
            for what, name, digits in (
                ("instructions", "instructions", 0),
                ("syscalls", "calls", 0),
                ("processor", "user_us", 1),
                ("processor", "system_us", 1),
            ):
                found = results.find(operation=what, api=api, of=operation)
                cells.append(f"{float(found[0][name]):,.{digits}f}" if found else "–")
        rows.append(cells)
    head = ["operation"]
    for api in ("v2", "v3"):
        head += [f"{api}: instructions", "system calls", "µs here", "µs in the kernel"]
    return table(head, rows)


def scale(results):
    parts = []
    for row in results.find(operation="release"):
        parts.append(
            f"- {row['api']}: {row['waiters']:,} waiters, with {row['requests_each']:.0f} requests,"
            f" {row['kib_each']:.0f} KiB here and {row['etcd_kib_each']:.0f} KiB in etcd each: half are released"
            f" {row['half_s'] * 1e3:,.0f} ms after the set, all after {row['last_s'] * 1e3:,.0f} ms."
        )
    rows = []
    for row in results.find(operation="exchange"):
        ranks = row["ranks"]
        each = [row["requests"] / ranks, row["sent_bytes"] / ranks / 1e3, row["received_bytes"] / ranks / 1e3]
        memory = f"{row['kib'] / ranks:,.0f}"
        rows.append((row["api"], f"{ranks:,}", f"{row['seconds']:.2f}", *(f"{cell:,.1f}" for cell in each), memory))
    head = ("API", "ranks", "seconds", "requests each", "KB sent each", "KB received each", "KiB of memory each")
    return "\n".join(parts) + "\n\n" + table(head, rows)


def beyond(results):
    """What more ranks would cost, from the requests and bytes of the largest exchange that was run."""
    rows = []
    for api in ("v2", "v3"):
        found = sorted(results.find(operation="exchange", api=api), key=lambda row: row["ranks"])
        if not found:
            continue
        largest = found[-1]
        square = largest["ranks"] ** 2
        requests, received = largest["requests"] / square, largest["received_bytes"] / square
        rate = largest["requests"] / largest["seconds"]
        for ranks in (10_000, 100_000):
            total = requests * ranks**2
            rows.append(
                (api, f"{ranks:,}", f"{total:.1e}", f"{received * ranks**2 / 1e12:,.2f}", f"{total / rate / 3600:,.1f}")
            )
    return table(("API", "ranks", "requests", "TB received", "hours at the rate measured here"), rows)


class Plot:
    """A plot with logarithmic axes."""

    WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 190, 40, 55

    def __init__(self, title, x_name, y_name, lines):
        self.title, self.x_name, self.y_name = title, x_name, y_name
        self.lines = [(name, points) for name, points in lines if points]
        every = [point for _, points in self.lines for point in points]
        self.x = self.range([x for x, _ in every])
        self.y = self.range([y for _, y in every])

    @staticmethod
    def range(values):
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return low, max(high, low + 1)

    def place(self, x, y):
        width, height = self.WIDTH - self.LEFT - self.RIGHT, self.HEIGHT - self.TOP - self.BOTTOM
        along = (math.log10(x) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(y) - self.y[0]) / (self.y[1] - self.y[0])
        return self.LEFT + along * width, self.HEIGHT - self.BOTTOM - up * height

    def svg(self):
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.WIDTH} {self.HEIGHT}"'
            ' font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="{self.LEFT}" y="22" font-size="15">{self.title}</text>',
        ]
        bottom, right = 10 ** self.y[0], 10 ** self.x[1]
        for power in range(self.x[0], self.x[1] + 1):
            (x, y), (_, top) = self.place(10**power, bottom), self.place(10**power, 10 ** self.y[1])
            out.append(f'<path d="M{x:.1f} {y:.1f}V{top:.1f}" stroke="#ddd"/>')
            out.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{10**power:,}</text>')
        for power in range(self.y[0], self.y[1] + 1):
            (x, y), (end, _) = self.place(10 ** self.x[0], 10**power), self.place(right, 10**power)
            out.append(f'<path d="M{x:.1f} {y:.1f}H{end:.1f}" stroke="#ddd"/>')
            out.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>')
        middle = (self.LEFT + self.WIDTH - self.RIGHT) / 2
        out.append(f'<text x="{middle}" y="{self.HEIGHT - 14}" text-anchor="middle">{self.x_name}</text>')
        centre = (self.TOP + self.HEIGHT - self.BOTTOM) / 2
        turned = f'transform="rotate(-90 16 {centre})"'
        out.append(f'<text x="16" y="{centre}" text-anchor="middle" {turned}>{self.y_name}</text>')
        for at, (name, points) in enumerate(self.lines):
            color = COLORS[at % len(COLORS)]
            dash = ' stroke-dasharray="5 4"' if "floor" in name else ""
            places = [self.place(x, y) for x, y in points]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            out.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
            out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
            x, y = self.WIDTH - self.RIGHT + 18, self.TOP + 12 + at * 20
            out.append(f'<path d="M{x} {y - 4}h22" stroke="{color}" stroke-width="2"{dash}/>')
            out.append(f'<text x="{x + 28}" y="{y}">{name}</text>')
        return "\n".join(out + ["</svg>", ""])


def lines(results, operation, of, value, floor):
    found = []
    for api in ("v2", "v3"):
        rows = results.find(api=api, operation=operation)
        found.append((f"librdzv, {api}", [(row[of], row[value]) for row in rows]))
        found.append((f"floor, {api}", [(row[of], row[floor]) for row in rows]))
    for peer in ("EtcdStore", "TCPStore"):
        rows = results.find(peer=peer, operation=operation)
        found.append((peer, [(row[of], row[value]) for row in rows]))
    return found


def main():
    results = Results(sys.argv[1])
    targets = Targets(results).table()
    print(targets)
    if len(sys.argv) < 3:
        return
    folder = Path(sys.argv[2])
    sections = {
        "about": about(results),
        "targets": targets,
        "contention": contention(results),
        "keys": keys(results),
        "waiters": waiters(results),
        "costs": costs(results),
        "scale": scale(results),
        "beyond": beyond(results),
    }
    for api in ("v2", "v3"):
        for disk in ("tmpfs", "disk"):
            sections[f"{api} {disk}"] = single(results, api, disk)
    path = folder / "performance.md"
    text = path.read_text(encoding="utf-8")
    for name, body in sections.items():
        marked = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            sys.exit(f"{path} has no place for '{name}'")
        text = marked.sub(lambda found, body=body: f"{found[1]}{body}\n{found[2]}", text)
    path.write_text(text, encoding="utf-8")
    by_keys = lines(results, "keys", "keys", "p50_us", "floor_p50_us")
    plot = Plot("One get, by the number of keys in the store", "keys", "median, µs", by_keys)
    (folder / "get-by-keys.svg").write_text(plot.svg(), encoding="utf-8")
    by_waiters = lines(results, "waiters", "waiters", "last_us", "floor_last_us")
    plot = Plot("From a set until the last waiter has it", "waiters", "median, µs", by_waiters)
    (folder / "wake-up-by-waiters.svg").write_text(plot.svg(), encoding="utf-8")


main()
