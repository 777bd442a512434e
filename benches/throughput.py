"""Throughput on loopback: see scripts/bench, which calls this.

Each round of `rekindle once` begins with members imported and a broadcast due, and ends when the
sink has accepted every mail and the ledger says so: scan, policy, rendering, queue, claim, attempt,
SMTP and outcome are all inside the time. Rates are medians over rounds; the ratio to the ceiling is
what compares between machines. CPU is in microseconds a mail, by process: ours, the sink's, the servers'.
Writes are rows inserted, updated or deleted in any table, from the scan's insert to the outcome, as the
database counts them; statements and transactions are our own.
"""

import argparse
import json
import os
import pathlib
import re
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time
import uuid

SETTINGS = """
store: {store}
queue: {queue}
campaigns: campaigns
providers: providers
templates: templates
brand:
  name: Bench
  timezone: UTC
  locale: en
  base_url: https://shop.example
  phone_region: US
email:
  sender: smtp
  from: "Bench <bench@shop.example>"
  smtp: {{ host: 127.0.0.1, port: {port}, connections: {connections} }}
{dkim}outbox: outbox
"""

# How openssl makes the private key of each kind.
KEYS = {"rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ed25519": ["-algorithm", "ed25519"]}

BROADCAST = """
name: bench
status: live
trigger: { kind: broadcast, at: 2020-01-01T00:00:00Z }
starts_at: 2020-01-01T00:00:00Z
channels: [email]
content: bench
limits: { late: always, ceiling: 100000000, frequency_cap: exempt }
"""

BIRTHDAY = """
name: birthdays
status: live
trigger: { kind: birthday }
starts_at: 2026-01-01T00:00:00Z
channels: [email]
content: bench
limits: { late: always, ceiling: 100000000 }
"""

MAIL_BYTES = 5120


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rekindle", required=True)
    parser.add_argument("--messages", type=int, default=20_000, help="mails a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--members", type=int, default=100_000, help="members for import and scan")
    parser.add_argument("--dkim", choices=list(KEYS), action="append", default=[], help="sign with such a key")
    parser.add_argument("--only", choices=["ceiling", "embedded", "production", "import"], action="append")
    return parser.parse_args()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"bench: nothing listens on port {port}")


class Sink:
    """smtp-sink on its own port; it takes mails and forgets them."""

    def __enter__(self):
        self.port = free_port()
        command = [os.environ["REKINDLE_TEST_SMTP_SINK"]]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]
        self.process = subprocess.Popen(command + [f"127.0.0.1:{self.port}", "1000"], stdout=subprocess.DEVNULL)
        wait_for_port(self.port)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def timed(command, environment=None, cwd=None):
    """Runs a command to its end: (seconds, CPU seconds, peak memory in MB, stdout, stderr)."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=out, stderr=log, cwd=cwd, env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        text, errors = (file.seek(0) or file.read().decode() for file in (out, log))
    if status != 0:
        raise SystemExit(f"bench: {' '.join(command)} failed: {text}{errors}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text, errors


# What the servers' processes are called, and what people call them.
SERVERS = {"smtp-sink": "sink", "postgres": "PostgreSQL", "beam.smp": "RabbitMQ"}


def server_cpu():
    """CPU seconds so far of the servers on this machine."""
    ticks = os.sysconf("SC_CLK_TCK")
    sums = dict.fromkeys(SERVERS, 0.0)
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
            if name in sums:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                # utime, stime and those of children that have ended.
                sums[name] += sum(int(field) for field in fields[11:15]) / ticks
        except OSError:
            pass
    return sums


def row_writes(store):
    """Rows inserted, updated or deleted so far in a PostgreSQL database."""
    sql = "SELECT SUM(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
    # What a session has counted is told when it ends.
    return int(subprocess.run(["psql", "-Atq", store, "-c", sql], check=True, stdout=subprocess.PIPE).stdout)


def asked(log, store, before):
    """Statements, transactions and row writes of a run, from what it says at its end."""
    said = re.search(r"statements=(\d+) transactions=(\d+)(?: rows=(\d+))?", log)
    if said is None:
        raise SystemExit(f"bench: the run did not say what it asked the store: {log[-300:]}")
    rows = int(said[3]) if said[3] else row_writes(store) - before
    return {"statements": int(said[1]), "transactions": int(said[2]), "writes": rows}


def waited(folder, store):
    """Milliseconds from the decision about the last message to the server's answer, as the ledger has them."""
    sql = "SELECT sent_at - queued_at FROM messages ORDER BY sent_at DESC LIMIT 1"
    if store.startswith("sqlite://"):
        with sqlite3.connect(folder / "rekindle.db") as database:
            return database.execute(sql).fetchone()[0]
    return int(subprocess.run(["psql", "-Atq", store, "-c", sql], check=True, stdout=subprocess.PIPE).stdout)


def make_keys(folder, kinds):
    """Private keys in the folder, and the line of the settings that names them."""
    for kind in kinds:
        command = ["openssl", "genpkey", *KEYS[kind], "-out", str(folder / f"{kind}.pem")]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    keys = [f"{{ domain: shop.example, selector: {kind}, key: {kind}.pem }}" for kind in kinds]
    return f"  dkim: [{', '.join(keys)}]\n" if keys else ""


def write_shop(folder, members, settings):
    """A configuration with a 5 kB mail, and members who all agree to mail."""
    (folder / "campaigns").mkdir(parents=True)
    (folder / "templates" / "bench").mkdir(parents=True)
    (folder / "campaigns" / "bench.yaml").write_text(BROADCAST)
    words = "The garden is open and the roses are in bloom, come and see them while they last. "
    paragraph = f"<p>{words}</p>\n"
    html = "<html><body><h1>Hello {{member.first_name}}</h1>\n"
    while len(html) < MAIL_BYTES - 1200:
        html += paragraph
    html += "</body></html>\n"
    (folder / "templates" / "bench" / "subject.txt").write_text("News for {{member.first_name}}\n")
    (folder / "templates" / "bench" / "email.html").write_text(html)
    (folder / "templates" / "bench" / "email.txt").write_text("Hello {{member.first_name}}\n\n" + words * 7 + "\n")
    (folder / "rekindle.yaml").write_text(settings)
    write_members(folder / "members.csv", range(members))


def write_members(path, numbers):
    """A file of members who all agree to mail."""
    with open(path, "w") as out:
        out.write("external_id,email,first_name,birth_date,joined_at,locale,timezone,email_consent\n")
        for number in numbers:
            month, day = 1 + number % 12, 1 + number // 12 % 28
            out.write(f"m{number},m{number}@example.com,Emma,1990-{month:02}-{day:02},2025-01-01T00:00:00Z,en,UTC,true\n")


def ceiling(options):
    with Sink() as sink:
        source = os.environ["REKINDLE_TEST_SMTP_SOURCE"]
        command = [source, "-d", "-s", str(options.connections), "-l", str(MAIL_BYTES), "-m", str(options.messages)]
        command += ["-f", "bench@shop.example", "-t", "m@example.com", f"127.0.0.1:{sink.port}"]
        seconds, *_ = timed(command)
    return {"rate": options.messages / seconds}


def once(options, store, queue):
    """One round: import, then the measured `once`, then one of a single message."""
    with Sink() as sink, tempfile.TemporaryDirectory(prefix="rekindle-bench-") as name:
        folder = pathlib.Path(name)
        at = {"store": store, "queue": queue, "port": sink.port, "connections": options.connections}
        settings = SETTINGS.format(**at, dkim=make_keys(folder, options.dkim))
        write_shop(folder, options.messages, settings)
        rekindle = [os.path.abspath(options.rekindle), "--config", str(folder / "rekindle.yaml")]
        # Else `once` would do the night's work as well, since there never was any.
        timed(rekindle + ["nightly"])
        timed(rekindle + ["import", "members", str(folder / "members.csv")])
        before, written = server_cpu(), 0 if store.startswith("sqlite://") else row_writes(store)
        seconds, cpu, memory, _, log = timed(rekindle + ["once"], {"RUST_LOG": "rekindle::store=debug"})
        after = server_cpu()
        counts = asked(log, store, written)
        status = json.loads(timed(rekindle + ["--format", "json", "status"])[3])
        if status["messages"] != {"sent": options.messages}:
            raise SystemExit(f"bench: not everything was sent: {status['messages']}")
        # One more member: the broadcast is for them, too.
        write_members(folder / "late.csv", [options.messages])
        timed(rekindle + ["import", "members", str(folder / "late.csv")])
        timed(rekindle + ["once"])
        latency = waited(folder, store)
    micros = {"ours": cpu, **{SERVERS[name]: after[name] - before[name] for name in before}}
    micros = {name: 1e6 * value / options.messages for name, value in micros.items()}
    asks = {name: value / options.messages for name, value in counts.items()}
    return {"rate": options.messages / seconds, "memory": memory, "micros": micros, "asks": asks, "latency": latency}


def embedded(options):
    return once(options, "sqlite://rekindle.db", "embedded")


class Database:
    """A PostgreSQL database of its own."""

    def __enter__(self):
        self.admin = os.environ["REKINDLE_TEST_POSTGRES"]
        self.name = "rekindle_bench_" + uuid.uuid4().hex[:12]
        self.run(f"CREATE DATABASE {self.name} TEMPLATE template0 ENCODING 'UTF8'")
        return self.admin.rsplit("/", 1)[0] + "/" + self.name

    def __exit__(self, *_):
        # Without FORCE, which only a superuser may while autovacuum works there: PostgreSQL waits for it.
        for attempt in range(10):
            self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                     f"WHERE datname = '{self.name}' AND usename = current_user")
            try:
                return self.run(f"DROP DATABASE {self.name}")
            except subprocess.CalledProcessError:
                if attempt == 9:
                    raise

    def run(self, sql):
        subprocess.run(["psql", "-q", self.admin, "-c", sql], check=True, stdout=subprocess.DEVNULL)


def production(options):
    broker = os.environ["REKINDLE_TEST_RABBITMQ"]
    prefix = "rekindle-bench"
    with Database() as store:
        return once(options, store, broker + ("&" if "?" in broker else "?") + f"prefix={prefix}")


def importing(options):
    """Import and scan rates, on both databases: members a second, and the time of a day's scan."""
    result = {}
    for name in ("sqlite", "postgres"):
        with tempfile.TemporaryDirectory(prefix="rekindle-bench-") as folder_name, Database() as database:
            folder = pathlib.Path(folder_name)
            store = "sqlite://rekindle.db" if name == "sqlite" else database
            settings = SETTINGS.format(store=store, queue="embedded", port=1, connections=1, dkim="")
            write_shop(folder, options.members, settings.replace("sender: smtp", "sender: capture"))
            (folder / "campaigns" / "bench.yaml").write_text(BIRTHDAY)
            rekindle = [os.path.abspath(options.rekindle), "--config", str(folder / "rekindle.yaml")]
            seconds, cpu, memory, *_ = timed(rekindle + ["import", "members", str(folder / "members.csv")])
            window = ["--from", "2026-06-15", "--to", "2026-06-16"]
            day, _, _, text, _ = timed(rekindle + ["--format", "json", "plan"] + window)
            result[name] = {
                "members_per_second": options.members / seconds,
                "import_memory": memory,
                "plan_one_day_seconds": day,
                "planned": len(json.loads(text)),
            }
    return result


def told(rounds, middle):
    """What a line says beside the rate, of the round in the middle."""
    if "micros" not in middle:
        return ""
    cpu = ", ".join(f"{name} {value:.0f}" for name, value in middle["micros"].items() if value >= 1)
    asks = middle["asks"]
    ledger = f"{asks['writes']:.2f} row writes, {asks['statements']:.3f} statements, {asks['transactions']:.3f} transactions"
    latency = statistics.median(entry["latency"] for entry in rounds)
    return f"{middle['memory']:8.0f}  {cpu}; {ledger}; {latency:.0f} ms"


def main():
    options = arguments()
    wanted = options.only or ["ceiling", "embedded", "production", "import"]
    paths = [("ceiling", ceiling), ("embedded", embedded), ("production", production)]
    medians = {}
    print(f"{options.messages} mails of about 5 kB a round, {options.connections} connections, {options.rounds} rounds\n")
    print(f"{'path':12} {'msg/s':>8} {'ratio':>6} {'peak MB':>8}  CPU, us a mail; the ledger, a mail; one message alone")
    for name, run in paths:
        if name not in wanted:
            continue
        rounds = [run(options) for _ in range(options.rounds)]
        medians[name] = rate = statistics.median(entry["rate"] for entry in rounds)
        ratio = rate / medians["ceiling"] if "ceiling" in medians else float("nan")
        middle = min(rounds, key=lambda entry: abs(entry["rate"] - rate))
        print(f"{name:12} {rate:8.0f} {ratio:6.3f} {told(rounds, middle)}", flush=True)
    if "import" in wanted:
        print(f"\n{options.members} members, one `birthday` campaign")
        for name, row in importing(options).items():
            print(
                f"{name:12} import {row['members_per_second']:.0f} members/s (peak {row['import_memory']:.0f} MB), "
                f"plan of one day {row['plan_one_day_seconds']:.2f} s for {row['planned']} messages"
            )


if __name__ == "__main__":
    main()
