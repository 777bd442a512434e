"""What scans, plans and audiences cost by the number of members: see scripts/bench-scale, which calls this.

Members join over four years up to the day of the measurement, and order up to then. Everything is paused, so that a `once` scans and sends nothing. Beside the seconds
stand the CPU seconds of Rekindle itself and of its PostgreSQL sessions, and the rows that these read
(rows of whole tables and entries of indexes): on a busy machine only these compare.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import random
import sqlite3
import subprocess
import tempfile
import threading
import time

from throughput import Database, timed

DAY = datetime.timedelta(days=1)
# The members join and order before this instant, and the scans and plans begin with it.
NOW = datetime.datetime(2026, 6, 15, tzinfo=datetime.timezone.utc)

SETTINGS = """
store: {store}
queue: embedded
campaigns: campaigns
occasions: occasions
templates: templates
brand: {{ name: Bench, timezone: UTC, locale: en, currency: USD, base_url: "https://shop.example", phone_region: US,
  quiet_hours: "21:00-08:00", frequency_cap: {{ messages: 3, per: 7d }} }}
email: {{ sender: capture, from: "Bench <bench@shop.example>" }}
outbox: outbox
"""

# A campaign of each trigger that looks for its members.
LIVE = {
    "welcome": "trigger: { kind: welcome, delay: 1h }",
    "birthday": 'trigger: { kind: birthday }\nschedule: { send_at: "09:00" }',
    "anniversary": 'trigger: { kind: anniversary }\nschedule: { send_at: "10:00" }\naudience: { field: tier, in: [silver, gold] }',
    "first-purchase": 'trigger: { kind: anniversary, of: first_purchase }\nschedule: { send_at: "10:00" }',
    "renewal": 'trigger: { kind: date, field: attributes.renewal, days_before: 7 }\nschedule: { send_at: "10:00" }',
    "thanks": 'trigger: { kind: post_purchase, orders: first, delay: 3d }\nschedule: { send_at: "18:00" }',
    "at-risk": 'trigger: { kind: at_risk, after: 60d }\nschedule: { send_at: "11:00" }\n'
    "steps: [{ id: reminder, after: 15d, unless: [goal], content: bench }]",
    "rhythm": 'trigger: { kind: at_risk, rhythm: { times: 2.5 }, fallback: none }\nschedule: { send_at: "11:00" }',
    "probability": 'trigger: { kind: at_risk, probability: { below: 0.5 }, fallback: none }\nschedule: { send_at: "11:00" }',
    "never-bought": 'trigger: { kind: at_risk, after: 90d, never_bought: true }\nschedule: { send_at: "11:00" }',
}

AUDIENCES = {
    "everybody": None,
    "tier": "{ field: tier, in: [silver, gold] }",
    "attribute": "{ field: attributes.city, eq: Leeds }",
    "spent": "{ all: [{ field: purchase_sum, within: 365d, gte: 100 }, { field: last_purchase_at, older_than: 60d }] }",
    "rfm": "{ all: [{ field: rfm.recency, gte: 4 }, { field: rfm.monetary, gte: 4 }] }",
    "reachable": "{ all: [{ reachable: email }, { not: { received: { campaign: birthday } } }] }",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rekindle", required=True)
    parser.add_argument("--members", type=int, action="append", help="how many; may be given again [100000 and 1000000]")
    parser.add_argument("--store", choices=["postgres", "sqlite"], action="append", help="[both]")
    parser.add_argument("--database", help="the address of an empty PostgreSQL database to use, and to keep")
    parser.add_argument("--grown", type=int, action="append",
                        help="instead: a scan of a day where copies of members with no date near make up so many; may be given again")
    parser.add_argument("--messages", type=int, action="append",
                        help="instead: reports of a year in which 50 campaigns had so many messages; may be given again")
    return parser.parse_args()


def write_shop(folder, store):
    for name in ("campaigns", "occasions", "templates/bench"):
        (folder / name).mkdir(parents=True)
    (folder / "templates/bench/subject.txt").write_text("News for {{member.first_name}}\n")
    (folder / "templates/bench/email.txt").write_text("Hello {{member.first_name}}\n")
    (folder / "rekindle.yaml").write_text(SETTINGS.format(store=store))
    rest = "channels: [email]\ncontent: bench\nlimits: { ceiling: 100000000 }\n"
    for name, text in LIVE.items():
        (folder / f"campaigns/{name}.yaml").write_text(f"name: {name}\nstatus: live\n{text}\n{rest}")
    for name, filter in AUDIENCES.items():
        text = f"name: to-{name}\ntrigger: {{ kind: broadcast, at: 2030-01-01T10:00 }}\n{rest}"
        (folder / f"campaigns/to-{name}.yaml").write_text(text + (f"audience: {filter}\n" if filter else ""))


def write_members(folder, members):
    """Gives the number of orders."""
    dice = random.Random(members)
    span = 4 * 365 * 86400
    text = lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")
    orders = 0
    with open(folder / "members.csv", "w") as people, open(folder / "purchases.csv", "w") as bought:
        people.write("external_id,email,first_name,birth_date,joined_at,locale,timezone,tier,points,email_consent,")
        people.write("attributes.city,attributes.renewal\n")
        bought.write("order_id,member_external_id,purchased_at,amount,currency\n")
        for number in range(members):
            joined = NOW - datetime.timedelta(seconds=60 + dice.randrange(span))
            born = datetime.date(1950, 1, 1) + DAY * dice.randrange(20000)
            renewal = NOW.date() + DAY * dice.randrange(-365, 365) if number % 3 == 0 else ""
            zone = dice.choice(("UTC", "Asia/Tehran", "Europe/Berlin", "America/New_York"))
            tier = dice.choice(("bronze", "bronze", "bronze", "silver", "gold"))
            city = dice.choice(("Leeds", "Bonn", "Shiraz", "Boston", "Lyon", "Turin", "Porto", "Izmir", "Graz", "Cork"))
            people.write(
                f"m{number},m{number}@example.com,Emma,{born},{text(joined)},en,{zone},{tier},{dice.randrange(1000)},"
                f"{'true' if number % 5 else 'false'},{city},{renewal}\n"
            )
            # Orders by the model that `model fit` fits: each member's own rate, and own chance to stop after one.
            rate, stops = dice.gammavariate(0.8, 1 / 100), dice.betavariate(1, 2)
            at, buys = joined, dice.random() < 0.7
            while buys and at < NOW:
                orders += 1
                bought.write(f"o{orders},m{number},{text(at)},{dice.randrange(500, 20000) / 100},USD\n")
                at += datetime.timedelta(days=min(dice.expovariate(rate), 9999))
                buys = dice.random() >= stops
    return orders


class Sessions(threading.Thread):
    """Adds up the CPU seconds of a database's PostgreSQL sessions while a command runs."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.name_in_title = f" {database} ".encode()
        self.seconds, self.done = {}, threading.Event()

    def run(self):
        others = set()
        while not self.done.wait(0.01):
            for folder in pathlib.Path("/proc").glob("[0-9]*"):
                if folder.name in others:
                    continue
                try:
                    if (folder / "comm").read_text() != "postgres\n":
                        others.add(folder.name)
                    elif self.name_in_title in (folder / "cmdline").read_bytes():
                        fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                        # A process by its id and when it began: ids come again.
                        self.seconds[folder.name, fields[19]] = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
                except OSError:
                    pass

    def total(self):
        self.done.set()
        self.join()
        return sum(self.seconds.values())


class Store:
    """A database to be measured, and what it counts."""

    def __init__(self, url):
        self.url = url
        self.database = url.rsplit("/", 1)[1] if url.startswith("postgres") else None

    def rows_read(self):
        if self.database is None:
            return None
        # What a session read is counted when it ends.
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
            AND backend_type IN ('client backend', 'parallel worker')"
        while self.ask(waiting) != "0":
            time.sleep(0.05)
        return int(self.ask("SELECT (SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables) \
            + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes)"))

    def ask(self, sql):
        return subprocess.run(["psql", "-XAtqw", self.url, "-c", sql], check=True, capture_output=True, text=True).stdout.strip()


class Bench:
    def __init__(self, rekindle, folder, store):
        self.command = [os.path.abspath(rekindle), "--config", str(folder / "rekindle.yaml"), "--format", "json"]
        self.store = store

    def run(self, title, arguments, count=None, quiet=False):
        """Runs a command, prints its line; gives what it printed, as read."""
        before = self.store.rows_read()
        sessions = Sessions(self.store.database) if self.store.database else None
        if sessions:
            sessions.start()
        seconds, cpu, memory, text, _ = timed(self.command + arguments)
        of_sessions = f"{sessions.total():8.2f}" if sessions else f"{'':8}"
        rows = f"{self.store.rows_read() - before:12,}" if sessions else f"{'':12}"
        with contextlib.suppress(ValueError):
            text = json.loads(text)
        if not quiet:
            counted = count(text) if count else ""
            print(f"{title:34} {seconds:8.2f} {cpu:8.2f} {of_sessions} {rows} {memory:7.0f}  {counted}", flush=True)
        return text


def measure(options, members, name, url):
    with tempfile.TemporaryDirectory(prefix="rekindle-scale-") as folder:
        folder = pathlib.Path(folder)
        write_shop(folder, url)
        bench = Bench(options.rekindle, folder, Store(url))
        bench.run("", ["migrate"], quiet=True)
        orders = write_members(folder, members)
        print(f"\n{name}: {members:,} members, {orders:,} orders")
        print(f"{'':34} {'seconds':>8} {'CPU s':>8} {'its CPU':>8} {'rows read':>12} {'peak MB':>7}")
        new = lambda done: f"{done['inserted']:,} new"
        bench.run("import members", ["import", "members", str(folder / "members.csv")], new)
        bench.run("import purchases", ["import", "purchases", str(folder / "purchases.csv")], new)
        if bench.store.database:
            bench.store.ask("VACUUM ANALYZE")
        bench.run("segments rfm", ["segments", "rfm", "--at", NOW.isoformat()])
        bench.run("model fit", ["model", "fit", "--to", NOW.isoformat()])
        bench.run("", ["campaigns", "pause", "--all"], quiet=True)
        at = lambda after: (NOW + after).isoformat()
        found = lambda done: f"{done['planned']:,} messages"
        bench.run("first scan", ["once", "--at", at(0 * DAY)], found)
        bench.run("scan of a second, nothing due", ["once", "--at", at(datetime.timedelta(seconds=1))], found)
        bench.run("scan of a day", ["once", "--at", at(DAY)], found)
        planned = lambda rows: f"{len(rows):,} messages"
        bench.run("plan of a day", ["plan", "--from", at(DAY), "--to", at(2 * DAY)], planned)
        bench.run("plan of a week", ["plan", "--from", at(DAY), "--to", at(8 * DAY)], planned)
        bench.run("explain", ["explain", "--member", f"m{members // 2}", "--at", at(DAY)], lambda all: f"{len(all)} campaigns")
        for filter in AUDIENCES:
            inside = lambda counted: f"{counted['members']:,} members"
            bench.run(f"audience: {filter}", ["campaigns", "audience", f"to-{filter}", "--at", at(DAY)], inside)


# Members for whom no trigger has a date near: what they have in the store is copied.
FAR = """
CREATE TABLE far AS SELECT m.id FROM members m
    WHERE m.external_id NOT IN (SELECT unnest(string_to_array(:'due', ',')))
    AND NOT (m.birth_gregorian BETWEEN 520 AND 710 OR m.joined_gregorian BETWEEN 520 AND 710)
    AND NOT (COALESCE(m.birth_persian, 0) BETWEEN 301 AND 420 OR COALESCE(m.joined_persian, 0) BETWEEN 301 AND 420)
    AND m.id < 1000000000 AND m.joined_at < :now - 150 * 86400000::bigint
    AND COALESCE(substr(m.attributes->>'renewal', 6, 5), '01-01') NOT BETWEEN '05-20' AND '07-10'
    AND NOT EXISTS (SELECT 1 FROM purchases p WHERE p.member_id = m.id AND p.purchased_at > :now - 150 * 86400000::bigint);
"""

# The columns of each table that a copy has otherwise, by name.
COPIED = {
    "members": {"id": "{id} + c.n * 1000000000", "external_id": "{external_id} || '-' || c.n",
                "email": "'c' || c.n || {email}"},
    "member_dates": {"member_id": "{member_id} + c.n * 1000000000"},
    "purchases": {"id": "{id} + c.n * 10000000000", "order_id": "{order_id} || '-' || c.n",
                  "member_id": "{member_id} + c.n * 1000000000"},
}


def grow(store, members, due, first):
    """Copies far members with their dates and orders until there are so many; the copies count from `first`."""
    script = FAR
    for table, changed in COPIED.items():
        key = "id" if table == "members" else "member_id"
        columns = store.ask(f"SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute "
                            f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped").split(",")
        names = {column: f"t.{column}" for column in columns}
        values = ", ".join(changed.get(column, "{" + column + "}").format(**names) for column in columns)
        # The last copy is of some of them.
        script += f"""
INSERT INTO {table} SELECT {values} FROM (SELECT id, row_number() OVER (ORDER BY id) AS place, count(*) OVER () AS total FROM far) f
    CROSS JOIN generate_series(:first, :first + :missing / (SELECT count(*) FROM far)) AS c(n)
    JOIN {table} t ON t.{key} = f.id WHERE (c.n - :first) * f.total + f.place <= :missing;
"""
    missing = members - int(store.ask("SELECT count(*) FROM members"))
    settings = ["-v", f"due={','.join(due)}", "-v", f"now={int(NOW.timestamp() * 1000)}", "-v", f"missing={missing}",
                "-v", f"first={first}"]
    command = ["psql", "-Xqw", "-v", "ON_ERROR_STOP=1", *settings, store.url]
    subprocess.run(command, input="SET synchronous_commit = off;" + script, text=True, check=True)
    store.ask("VACUUM ANALYZE")


def measure_grown(options, base):
    """A scan of a day for the same due members, among more and more others."""
    with tempfile.TemporaryDirectory(prefix="rekindle-scale-") as name, Database() as url:
        folder = pathlib.Path(name)
        write_shop(folder, url)
        bench = Bench(options.rekindle, folder, Store(url))
        bench.run("", ["migrate"], quiet=True)
        write_members(folder, base)
        for kind in ("members", "purchases"):
            bench.run("", ["import", kind, str(folder / f"{kind}.csv")], quiet=True)
        bench.run("", ["model", "fit", "--to", NOW.isoformat()], quiet=True)
        bench.run("", ["campaigns", "pause", "--all"], quiet=True)
        at = lambda after: (NOW + after).isoformat()
        bench.run("", ["once", "--at", at(0 * DAY)], quiet=True)
        near = bench.run("", ["plan", "--from", at(-20 * DAY), "--to", at(20 * DAY)], quiet=True)
        due = sorted({row["member"] for row in near})
        print(f"{'':34} {'seconds':>8} {'CPU s':>8} {'its CPU':>8} {'rows read':>12} {'peak MB':>7}")
        for days, members in enumerate(sorted(options.grown)):
            if days > 0:
                # The same day again, as if nothing had been scanned.
                bench.store.ask("DELETE FROM pending; DELETE FROM messages; UPDATE campaigns SET scanned_to = "
                                f"{int(NOW.timestamp() * 1000)}")
                bench.store.ask("DROP TABLE far")
            grow(bench.store, members, due, 1 + 10_000 * days)
            found = lambda done: f"{done['planned']:,} messages"
            bench.run(f"scan of a day, {members:,} members", ["once", "--at", at(DAY)], found)


CAMPAIGNS, DAYS = 50, 365
RECEIVERS = {"gmail.com": 46, "yahoo.com": 9, "hotmail.com": 8, "outlook.com": 6, "icloud.com": 5, "aol.com": 2, "live.com": 2,
             "gmx.de": 2, "web.de": 2, "chmail.ir": 1, "ymail.com": 1, "proton.me": 1, "other": 15}
REASONS = ("frequency_cap", "no_consent", "no_address", "suppressed", "goal_reached", "same_address")


def a_day_of_counts(dice, messages):
    """What the messages of a campaign of two steps, two channels and two languages come to on a day."""
    counts = {}

    def add(*key, amount=0):
        n, sum = counts.get(key, (0, 0))
        counts[key] = (n + 1, sum + amount)

    for _ in range(messages):
        step, locale = dice.choice(("main", "reminder")), "fa" if dice.random() < 0.7 else "en"
        channel = "email" if dice.random() < 0.8 else "sms"
        domain = dice.choices(list(RECEIVERS), RECEIVERS.values())[0] if channel == "email" else ""
        if dice.random() < 0.1:
            add(step, "holdout", channel, "", "", "not_sent", "held_out")
        elif dice.random() < 0.15:
            add(step, "", "", "", "", "not_sent", dice.choice(REASONS))
        else:
            place = (step, "treated", channel, locale, domain)
            add(*place, "sent", "", amount=400)
            for fact, share in (("delivered", 0.97), ("opened", 0.3), ("prefetched", 0.3), ("clicked", 0.05), ("bounced", 0.01),
                                ("unsubscribed", 0.003), ("complained", 0.0005), ("bought", 0.02), ("code_used", 0.01)):
                if dice.random() < share:
                    add(*place, fact, "", amount=dice.randrange(2000, 9000) if fact in ("bought", "code_used") else 0)
    return counts


def write_counts(bench, folder, messages):
    """Fills `daily` with a year of counts: days of some kinds, each campaign in another order. Gives the rows."""
    dice, kinds = random.Random(messages), 40
    rows = [(kind, *key, *count) for kind in range(kinds)
            for key, count in a_day_of_counts(dice, round(messages / CAMPAIGNS / DAYS)).items()]
    first = (NOW.date() - datetime.date(1970, 1, 1)).days - DAYS
    kinds_of = "CREATE TEMPORARY TABLE kinds (kind INT, step TEXT, arm TEXT, channel TEXT, locale TEXT, domain TEXT, fact TEXT, reason TEXT, n INT, amount INT)"
    series = "WITH RECURSIVE days(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM days WHERE i < {}), " \
        "names(c) AS (SELECT 0 UNION ALL SELECT c + 1 FROM names WHERE c < {})".format(DAYS - 1, CAMPAIGNS - 1)
    fill = f"INSERT INTO daily {series} SELECT {first} + i, 'c' || c, k.step, k.arm, k.channel, k.locale, k.domain, k.fact, k.reason, k.n, k.amount " \
        f"FROM days CROSS JOIN names JOIN kinds k ON k.kind = (i * 7 + c * 11) % {kinds}"
    if bench.store.database is None:
        with contextlib.closing(sqlite3.connect(folder / "rekindle.db")) as store, store:
            store.execute(kinds_of)
            store.executemany(f"INSERT INTO kinds VALUES ({','.join('?' * 10)})", rows)
            return store.execute(fill).rowcount
    copy = kinds_of + ";\nCOPY kinds FROM stdin (FORMAT csv, FORCE_NOT_NULL (step, arm, channel, locale, domain, fact, reason));\n"
    copy += "".join(",".join(map(str, row)) + "\n" for row in rows) + "\\.\n" + fill + ";\nVACUUM ANALYZE daily;\n"
    subprocess.run(["psql", "-Xqw", "-v", "ON_ERROR_STOP=1", bench.store.url], input=copy, text=True, check=True)
    return int(bench.store.ask("SELECT count(*) FROM daily"))


def firsts_of_months():
    """The firsts of Gregorian and Persian months (of 1404 and 1405) in the year before NOW and the one behind it, in days."""
    starts, at = set(), datetime.date(2025, 3, 21)
    for length in [31] * 6 + [30] * 5 + [29] + [31] * 4:
        starts.add(at)
        at += DAY * length
    starts |= {datetime.date(2025 + month // 12, month % 12 + 1, 1) for month in range(2, 19)}
    return sorted((start - datetime.date(1970, 1, 1)).days for start in starts)


def close_stretches(bench, folder):
    """What the night's work makes of `daily`, which compares it with messages that are not there."""
    firsts = firsts_of_months()
    last = (NOW.date() - datetime.date(1970, 1, 1)).days - 2
    stretches = [(first, after) for first, after in zip(firsts, firsts[1:]) if after <= last]
    pairs = ", ".join(f"({first}, {after})" for first, after in stretches)
    key = "step, arm, channel, locale, domain, fact, reason"
    array, group = ("json_array", "json_group_array") if bench.store.database is None else ("json_build_array", "json_agg")
    fill = f"INSERT INTO stretches WITH s(first, after) AS (VALUES {pairs}) SELECT campaign, first, {group}({array}({key}, n, amount)) FROM (" \
        f"SELECT d.campaign, s.first, {key}, SUM(n) AS n, SUM(amount) AS amount FROM s JOIN daily d ON d.day >= s.first AND d.day < s.after " \
        f"GROUP BY d.campaign, s.first, {key}) g GROUP BY campaign, first"
    if bench.store.database is None:
        with contextlib.closing(sqlite3.connect(folder / "rekindle.db")) as store, store:
            store.execute(fill)
    else:
        bench.store.ask(fill)
        bench.store.ask("VACUUM ANALYZE stretches")
    return len(stretches)


def measure_reports(options, messages, name, url):
    """Reports of a year of counts."""
    with tempfile.TemporaryDirectory(prefix="rekindle-scale-") as folder:
        folder = pathlib.Path(folder)
        write_shop(folder, url)
        for number in range(CAMPAIGNS):
            text = f"name: c{number}\nstatus: live\ntrigger: {{ kind: welcome }}\nchannels: [email]\ncontent: bench\n"
            (folder / f"campaigns/c{number}.yaml").write_text(text)
        bench = Bench(options.rekindle, folder, Store(url))
        bench.run("", ["migrate"], quiet=True)
        bench.run("", ["campaigns", "apply"], quiet=True)
        rows = write_counts(bench, folder, messages)
        stretches = close_stretches(bench, folder)
        print(f"\n{name}: {messages:,} messages of {CAMPAIGNS} campaigns in a year, {rows:,} counts, {stretches} stretches of each")
        print(f"{'':34} {'seconds':>8} {'CPU s':>8} {'its CPU':>8} {'rows read':>12} {'peak MB':>7}")
        year = ["--from", str(NOW.date() - DAY * DAYS), "--to", str(NOW.date())]
        read = lambda report: f"{report['counts_read']:,} counts read, {report['total']['due']:,} due"
        for by in ("campaign", "domain", "month", "week"):
            bench.run(f"a year by {by}", ["report", "campaigns", "--by", by, *year], read)
        bench.run("a year of a campaign by step", ["report", "campaign", "c7", "--by", "step", *year], read)
        bench.run("deliverability of a year", ["report", "deliverability", *year], read)
        day = ["--from", str(NOW.date() - DAY), "--to", str(NOW.date())]
        bench.run("a day", ["report", "campaigns", *day], read)


def main():
    options = arguments()
    if options.grown:
        return measure_grown(options, (options.members or [100_000])[0])
    if options.messages:
        for messages in options.messages:
            for name in options.store or ["postgres", "sqlite"]:
                with Database() if name == "postgres" else contextlib.nullcontext("sqlite://rekindle.db") as url:
                    measure_reports(options, messages, name, url)
        return None
    for members in options.members or [100_000, 1_000_000]:
        for name in options.store or ["postgres", "sqlite"]:
            if name == "sqlite":
                measure(options, members, name, "sqlite://rekindle.db")
            elif options.database:
                measure(options, members, name, options.database)
            else:
                with Database() as url:
                    measure(options, members, name, url)


if __name__ == "__main__":
    main()
