#!/usr/bin/env python3
"""Cartwheel beside redis-server on one machine, by ratios.

Both get the same client (`cartwheel bench`), load, value size, connections and durability (`os` beside `appendfsync
everysec`). They run in turn, never together, several rounds in alternating order, each time from an empty directory on
free loopback ports. A ratio is taken within one round; reported are the median over rounds and the smallest and largest.
The table goes between the markers of docs/benchmarks.md, everything measured into build/bench.json. Rows that miss their
goal stay in the table.

Exit code: 0 when every row was measured (whatever it says about the goals), 1 otherwise.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
READY_S = 30
STOP_S = 15

DOC_INTRO = """# Benchmarks

`./dev bench` measures Cartwheel beside `redis-server` on the same machine and rewrites the table below; the script is
`scripts/bench.py`, the client of every row is `cartwheel bench`.

**Server CPU per operation** is user + system time of all server processes, divided by the operations completed meanwhile.
It is steadier than throughput, above all where client and server share few cores, and the goals are set in it. A ratio is
Cartwheel / Redis: of CPU, lower is better; of throughput, higher. Ratios are taken within one round, in which both run one
after the other; the table has the median over the rounds and, in parentheses, the smallest and the largest.

The contracts are not the same. Redis keeps its data in memory, and with `WAIT 1` a write is on one more machine's memory
when it is answered; its replicas are read-only. Cartwheel keeps data on disk through RocksDB, has handed a write to the
kernel on as many replicas as the level says when it answers, and every replica takes writes. Rows that lose are kept.

"""


# ---- machine

def free_ports(count):
    sockets = []
    for _ in range(count):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        sockets.append(s)
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def version_of(command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        return out.stdout.strip().splitlines()[0] if out.returncode == 0 and out.stdout.strip() else "unknown"
    except OSError:
        return "unknown"


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "load_average": os.getloadavg()[0]}


def steal_ticks():
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]), sum(int(f) for f in fields[1:9])


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def on_core(core):
    """A preexec_fn that keeps the new process on one core; None where there is only one, or none was asked for."""
    if core is None or (os.cpu_count() or 1) < 2:
        return None
    return lambda: os.sched_setaffinity(0, {core})


# ---- servers

def ask(port, *words, timeout=2.0):
    """Sends one command; returns the beginning of its reply, or None when nobody answers."""
    request = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
            s.sendall(request.encode())
            return s.recv(65536).decode("utf-8", "replace")
    except OSError:
        return None


class Servers:
    """The processes of one contender. Use as a context: they are gone, with their directory, when it ends."""

    def __init__(self, core):
        self.core = core
        self.processes = []
        self.ports = []  # that take client connections
        self.dir = None

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cartwheel-bench-"))
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        raise NotImplementedError

    def pids(self):
        return [p.pid for p in self.processes]

    def spawn(self, name, command, cwd):
        log = open(self.dir / f"{name}.log", "wb")
        with log:
            self.processes.append(subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   preexec_fn=on_core(self.core)))

    def wait_for(self, what, condition):
        deadline = time.monotonic() + READY_S
        while not condition():
            ended = [p.args[0] for p in self.processes if p.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = "".join(f"\n--- {f.name}\n" + "".join(f.read_text(errors="replace").splitlines(True)[-15:])
                               for f in sorted(self.dir.glob("*.log")))
                raise RuntimeError(f"{what}: {'ended: ' + str(ended) if ended else 'not within %d s' % READY_S}{logs}")
            time.sleep(0.05)

    def stop(self):
        for p in self.processes:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for p in self.processes:
            try:
                p.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.processes.clear()
        shutil.rmtree(self.dir, ignore_errors=True)


class Redis(Servers):
    name = "redis"

    def __init__(self, core, nodes):
        super().__init__(core)
        self.nodes = nodes

    def start(self):
        ports = free_ports(self.nodes)
        for i, port in enumerate(ports):
            directory = self.dir / f"redis-{i}"
            directory.mkdir()
            command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                       "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"]
            if i > 0:
                command += ["--replicaof", f"127.0.0.1 {ports[0]}"]
            self.spawn(f"redis-{i}", command, directory)
        self.ports = ports[:1]
        self.wait_for("redis-server answers", lambda: all(ask(p, "PING") == "+PONG\r\n" for p in ports))
        if self.nodes > 1:
            self.wait_for("replicas are in sync",
                          lambda: (ask(ports[0], "INFO", "replication") or "").count("state=online") == self.nodes - 1)


class Cartwheel(Servers):
    name = "cartwheel"
    binary = None
    serve_args = ()

    def __init__(self, core, nodes):
        super().__init__(core)
        self.nodes = nodes

    def start(self):
        ports = free_ports(3 * self.nodes)
        text = 'cluster = "bench"\npartitions = 64\n'
        for i in range(self.nodes):
            rpc, resp, http = ports[3 * i:3 * i + 3]
            text += (f'[[node]]\nname = "eu-{i + 1}"\nregion = "eu"\nzone = "{"abc"[i % 3]}"\n'
                     f'rpc = "127.0.0.1:{rpc}"\nresp = "127.0.0.1:{resp}"\nhttp = "127.0.0.1:{http}"\n')
        write = "one" if self.nodes == 1 else "two"
        text += (f'[[keyspace]]\nname = "bench"\nselect = 0\nkind = "eventual"\nreplicas = {{ eu = {self.nodes} }}\n'
                 f'read = "one"\nwrite = "{write}"\ndurability = "os"\n')
        cluster_file = self.dir / "cluster.toml"
        cluster_file.write_text(text)
        for i in range(self.nodes):
            self.spawn(f"eu-{i + 1}", [str(self.binary), "serve", "--cluster-file", str(cluster_file), "--node", f"eu-{i + 1}",
                                       "--data-dir", str(self.dir / f"eu-{i + 1}"), *self.serve_args], self.dir)
        self.ports = ports[1::3]
        self.wait_for("cartwheel answers", lambda: all(ask(p, "PING") == "+PONG\r\n" for p in self.ports))
        # Writes on many keys, so that every partition has been reached through every node.
        self.wait_for("cartwheel takes writes", lambda: all(ask(p, "SET", f"ready:{k}", "1") == "+OK\r\n"
                                                            for p in self.ports for k in range(20)))


class RedisAgain(Redis):
    """The second contender of --self-test."""
    name = "redis-again"


# ---- rows

class Row:
    def __init__(self, row_id, title, load, redis_load=None, goal=None):
        self.id, self.title, self.goal = row_id, title, goal
        self.load, self.redis_load = load, redis_load or load

    def load_of(self, contender):
        return self.redis_load if issubclass(contender, Redis) else self.load


class Group:
    """Rows that one start of the servers measures one after the other."""

    def __init__(self, nodes, pinned, rows):
        self.nodes, self.pinned, self.rows = nodes, pinned, rows


KILOBYTE = ["--value-size", "1024", "--keys", "100000"]


def sets_of(size):
    return Row(f"sadd-{size}", f"SADD/SREM, sets of {size:,}",
               ["--mix", "sadd", "--set-size", str(size), "--keys", "4", "--prefill"])


GROUPS = [
    Group(1, True, [
        Row("get-p1", "GET 1 KB, pipeline 1", ["--mix", "get", "--verify", "--prefill", *KILOBYTE], goal=1.3),
        Row("get-p16", "GET 1 KB, pipeline 16", ["--mix", "get", "-P", "16", *KILOBYTE], goal=1.5),
        Row("set-p1", "SET 1 KB, pipeline 1", ["--mix", "set", *KILOBYTE], goal=1.5),
        Row("set-p16", "SET 1 KB, pipeline 16", ["--mix", "set", "-P", "16", *KILOBYTE], goal=2.5),
    ]),
    Group(3, False, [
        Row("set-3", "SET 1 KB on 3 replicas, W = 2 (Redis: SET + WAIT 1)", ["--mix", "set", *KILOBYTE],
            ["--mix", "set-wait", *KILOBYTE], goal=1.5),
    ]),
    Group(1, True, [sets_of(10)]),
    Group(1, True, [sets_of(100_000)]),
    Group(1, True, [Row("cart", "cart mix", ["--mix", "cart", "--keys", "20000", "--prefill"])]),
    Group(1, True, [Row("session", "session mix, verified", ["--mix", "session", "--keys", "20000", "--prefill", "--verify"])]),
]
SET_GROWTH_GOAL = 1.5
IDLE_CPU_GOAL, IDLE_RSS_GOAL = 1.0, 60.0


def run_client(args, row, contender, servers, pinned):
    report = servers.dir / "report.json"
    command = [str(args.client), *args.client_args, *row.load_of(contender), "--clients", "50", "--duration",
               str(args.seconds), "--warmup", str(args.warmup), "--json", str(report)]
    for port in servers.ports:
        command += ["--target", f"127.0.0.1:{port}"]
    for pid in servers.pids():
        command += ["--pid", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=args.seconds + args.warmup + 300, check=False,
                          preexec_fn=on_core(1 if pinned else None))
    if done.returncode != 0:
        raise RuntimeError(f"{row.id} on {contender.name}: the client said\n{done.stdout}{done.stderr}")
    return json.loads(report.read_text())


def measure(args, contenders, wanted):
    """samples[row id][contender name][round] = the client's report."""
    samples, failures = {}, []
    for round_number in range(args.rounds):
        order = contenders if round_number % 2 == 0 else contenders[::-1]
        for group in GROUPS:
            rows = [r for r in group.rows if wanted(r.id)]
            for contender in order if rows else []:
                try:
                    with contender(0 if group.pinned else None, group.nodes) as servers:
                        for row in rows:
                            report = run_client(args, row, contender, servers, group.pinned)
                            samples.setdefault(row.id, {}).setdefault(contender.name, {})[round_number] = report
                            print(f"  round {round_number + 1}  {row.id:12} {contender.name:12}"
                                  f" {report['server_cpu_us_per_op']:8.2f} us/op {report['ops_per_s']:10.0f} ops/s"
                                  f"  errors {report['error_count']}", flush=True)
                except (RuntimeError, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as error:
                    failures.append(f"{contender.name}: {error}")
                    print(f"  round {round_number + 1}  {contender.name}: {error}", file=sys.stderr, flush=True)
    return samples, failures


def measure_idle(args, contender):
    with contender(None, 1) as servers:
        time.sleep(2)
        pid = servers.pids()[0]
        before, at = cpu_seconds(pid), time.monotonic()
        time.sleep(args.idle_seconds)
        return {"cpu_percent": 100 * (cpu_seconds(pid) - before) / (time.monotonic() - at), "rss_mb": rss_mb(pid)}


# ---- results

def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "values": values}


def series(reports, field):
    return [r[field] for r in reports.values()]


def ratios(ours, peers, field):
    """Of the rounds that have both: a pair from different rounds would compare two states of the machine."""
    return [ours[n][field] / peers[n][field] for n in sorted(ours.keys() & peers.keys()) if peers[n][field] > 0]


def summarize(samples, contenders):
    peer, ours = contenders[0].name, contenders[1].name
    rows = []
    for row in (r for g in GROUPS for r in g.rows):
        by_name = samples.get(row.id, {})
        cpu_ratios = ratios(by_name.get(ours, {}), by_name.get(peer, {}), "server_cpu_us_per_op")
        if not cpu_ratios:
            continue
        cpu = spread(cpu_ratios)
        out = {"id": row.id, "title": row.title, "goal": row.goal, "cpu_ratio": cpu,
               "throughput_ratio": spread(ratios(by_name[ours], by_name[peer], "ops_per_s")),
               "errors": {n: sum(series(by_name[n], "error_count")) for n in (peer, ours)}}
        for name in (peer, ours):
            out[name] = {f: spread(series(by_name[name], f))
                         for f in ("server_cpu_us_per_op", "client_cpu_us_per_op", "ops_per_s")}
            out[name]["p50_us"] = statistics.median(r["latency_us"]["p50"] for r in by_name[name].values())
            out[name]["p99_us"] = statistics.median(r["latency_us"]["p99"] for r in by_name[name].values())
        out["met"] = None if row.goal is None else cpu["median"] <= row.goal
        rows.append(out)
    growth = {}
    small, large = samples.get("sadd-10", {}), samples.get("sadd-100000", {})
    for name in (peer, ours):
        if per_round := ratios(large.get(name, {}), small.get(name, {}), "server_cpu_us_per_op"):
            growth[name] = spread(per_round)
    return rows, growth


def with_spread(s, digits=2):
    return f"{s['median']:.{digits}f} ({s['min']:.{digits}f}–{s['max']:.{digits}f})"


def verdict(met):
    return "" if met is None else "met" if met else "**missed**"


def markdown(result, contenders):
    peer, ours = contenders[0].name, contenders[1].name
    m = result["machine"]
    lines = [f"Measured {result['date']} on {m['cpu']}, {m['cores']} cores, Linux {m['kernel']}; {result['versions'][peer]}; "
             f"{result['versions'][ours]}. {result['rounds']} rounds of {result['seconds']} s per row, 50 connections, "
             f"durability `os` beside `appendfsync everysec`; server and client on one core each where there is one server, "
             f"free to move where there are three. Time stolen by other machines: {result['steal_percent']:.1f} %.", "",
             f"| Row | {peer} µs/op | {ours} µs/op | CPU ratio | goal | | {peer} ops/s | {ours} ops/s | throughput ratio |",
             "|---|---:|---:|---:|---:|---|---:|---:|---:|"]
    for row in result["rows"]:
        goal = "" if row["goal"] is None else f"≤ {row['goal']}"
        errors = "".join(f" ({n} errors: {c})" for n, c in row["errors"].items() if c)
        lines.append(f"| {row['title']}{errors} | {row[peer]['server_cpu_us_per_op']['median']:.2f} "
                     f"| {row[ours]['server_cpu_us_per_op']['median']:.2f} | {with_spread(row['cpu_ratio'])} | {goal} "
                     f"| {verdict(row['met'])} | {row[peer]['ops_per_s']['median']:,.0f} "
                     f"| {row[ours]['ops_per_s']['median']:,.0f} | {with_spread(row['throughput_ratio'])} |")
    if result["set_growth"]:
        lines += ["", "| Adding to a set of 100,000 / to a set of 10 | CPU ratio | goal | |", "|---|---:|---:|---|"]
        for name, growth in result["set_growth"].items():
            met = growth["median"] <= SET_GROWTH_GOAL if name == ours else None
            goal = f"≤ {SET_GROWTH_GOAL}" if name == ours else ""
            lines.append(f"| {name} | {with_spread(growth)} | {goal} | {verdict(met)} |")
    if result["idle"]:
        lines += ["", f"| One server without traffic, {result['idle_seconds']} s | CPU, % of a core | memory, MB | |",
                  "|---|---:|---:|---|"]
        for name, idle in result["idle"].items():
            met = idle["cpu_percent"] < IDLE_CPU_GOAL and idle["rss_mb"] < IDLE_RSS_GOAL if name == ours else None
            goal = f" (goal < {IDLE_CPU_GOAL:.0f} %, < {IDLE_RSS_GOAL:.0f} MB)" if name == ours else ""
            lines.append(f"| {name}{goal} | {idle['cpu_percent']:.2f} | {idle['rss_mb']:.0f} | {verdict(met)} |")
    for failure in result["failures"]:
        lines += ["", f"Not measured: {failure.splitlines()[0]}"]
    return "\n".join(lines) + "\n"


def write_document(path, table):
    text = path.read_text() if path.exists() else DOC_INTRO + f"{BEGIN}\n{END}\n"
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise RuntimeError(f"{path} needs the markers {BEGIN} and {END}, once each and in this order")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text[:text.index(BEGIN) + len(BEGIN)] + "\n" + table + text[text.index(END):])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cartwheel", type=pathlib.Path, default=ROOT / "build/release/cartwheel")
    parser.add_argument("--client", type=pathlib.Path, help="a load tool that takes the options of `cartwheel bench`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="measured seconds per row, side and round")
    parser.add_argument("--warmup", type=float, default=1)
    parser.add_argument("--idle-seconds", type=float, default=20)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s; for a look, not for publication")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="row ids, such as get-p1 set-3 idle")
    parser.add_argument("--serve-arg", action="append", default=[], help="further argument of `cartwheel serve`")
    parser.add_argument("--self-test", action="store_true", help="redis-server on both sides: ratios must be close to 1")
    parser.add_argument("--document", type=pathlib.Path, default=ROOT / "docs/benchmarks.md")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.warmup, args.idle_seconds = 3, 2, 0.5, 5
    # The load tool is a command of the one binary, unless another program is named.
    args.client_args = [] if args.client else ["bench"]
    args.client = args.client or args.cartwheel
    known = {r.id for g in GROUPS for r in g.rows} | {"idle"}
    if args.only and not set(args.only) <= known:
        parser.error(f"unknown row; known: {' '.join(sorted(known))}")
    for needed in [args.client] + ([] if args.self_test else [args.cartwheel]):
        if not needed.exists():
            parser.error(f"{needed} does not exist; build it first")
    if shutil.which("redis-server") is None:
        parser.error("redis-server is not installed")
    return args


def main():
    args = parse_arguments()
    Cartwheel.binary, Cartwheel.serve_args = args.cartwheel.resolve(), tuple(args.serve_arg)
    args.client = args.client.resolve()
    contenders = [Redis, RedisAgain if args.self_test else Cartwheel]
    wanted = (lambda row: row in args.only) if args.only else (lambda row: True)

    about = machine()
    print(f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, load average {about['load_average']:.2f}")
    if about["load_average"] > 0.3:
        print("warning: the machine is busy; ratios of CPU suffer, throughput and latency more")
    steal, total = steal_ticks()
    samples, failures = measure(args, contenders, wanted)
    idle = {}
    for contender in contenders if wanted("idle") else []:
        try:
            idle[contender.name] = measure_idle(args, contender)
        except (RuntimeError, OSError) as error:
            failures.append(f"idle, {contender.name}: {error}")
    steal_end, total_end = steal_ticks()

    rows, growth = summarize(samples, contenders)
    redis_version = version_of(["redis-server", "--version"]).split(" sha=")[0]
    versions = {c.name: redis_version if issubclass(c, Redis) else version_of([str(args.cartwheel), "version"])
                for c in contenders}
    result = {"date": time.strftime("%Y-%m-%d"), "machine": about, "versions": versions, "rounds": args.rounds,
              "seconds": args.seconds, "idle_seconds": args.idle_seconds,
              "steal_percent": 100 * (steal_end - steal) / max(1, total_end - total), "rows": rows, "set_growth": growth,
              "idle": idle, "failures": failures, "samples": samples}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(result, indent=1) + "\n")
    table = markdown(result, contenders)
    print("\n" + table)
    # A part of the rows, or Redis beside itself, is no table to publish.
    if not args.self_test and not args.only:
        write_document(args.document, table)
    return 1 if failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, so that the servers are stopped
    sys.exit(main())
