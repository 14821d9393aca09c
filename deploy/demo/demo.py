#!/usr/bin/env python3
"""Runs Sluice's main job on this machine: a head, two workers, and this machine's own
Debian package index as the input. Started by `./dev demo`."""

import argparse
import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HOME_VARIABLE = "SLUICE_HOME"


def say(text):
    print(text, flush=True)


class Cluster:
    """One head and its workers, with a state folder of their own."""

    def __init__(self, program, home):
        self.program = program
        self.home = home
        self.env = dict(os.environ, **{HOME_VARIABLE: home})

    def run(self, *args, quiet=True):
        shown = "sluice " + " ".join(args)
        done = subprocess.run([self.program, *args], env=self.env, text=True, capture_output=quiet)
        if done.returncode != 0:
            detail = (done.stderr or "") + (done.stdout or "") if quiet else ""
            raise SystemExit(f"demo: `{shown}` ended with {done.returncode}\n{detail}")
        return done.stdout

    def json(self, *args):
        return json.loads(self.run(*args, "-o", "json"))

    def snapshot(self):
        return self.json("status")

    def start(self, workers):
        # Port 0 = a free one, so the demo never collides with a cluster that runs already.
        self.run("start", "--head", "--no-worker", "--link-port", "0", "--control-port", "0")
        for _ in range(workers):
            self.run("start", "--address", "auto", "--cpus", "1")

    def stop(self):
        subprocess.run([self.program, "stop"], env=self.env, capture_output=True)


def package_records():
    """Yields one dict per package of `apt-cache dumpavail`."""
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, errors="replace").stdout
    for number, stanza in enumerate(filter(None, text.split("\n\n")), start=1):
        fields = {}
        for line in stanza.splitlines():
            if line[:1] not in (" ", "\t") and ": " in line:
                key, value = line.split(": ", 1)
                fields[key] = value
        if "Package" not in fields:
            continue
        yield {
            "id": number,
            "name": fields["Package"],
            "version": fields.get("Version", ""),
            "section": fields.get("Section", "unknown"),
            "depends": fields.get("Depends"),
            "installed_kib": int(fields.get("Installed-Size", 0)),
            "download_bytes": int(fields.get("Size", 0)),
            "maintainer": fields.get("Maintainer", "unknown"),
        }


def queue_of(snapshot, name):
    for queue in snapshot.get("queues", []):
        if queue["name"] == name:
            return queue
    return {}


def number(thing, member):
    return int(thing.get(member, 0))


def watch(cluster, total, deadline_s=300):
    """Prints progress until every record is measured or dead."""
    started = time.monotonic()
    last = (started, 0)
    while True:
        snapshot = cluster.snapshot()
        done = number(queue_of(snapshot, "measured"), "depth_count")
        dead = number(queue_of(snapshot, "packages"), "dead_count")
        backlog = number(queue_of(snapshot, "packages"), "depth_count")
        replicas = collections.Counter(r["node"] for r in snapshot.get("replicas", []) if r["phase"] == "running")
        now = time.monotonic()
        rate = (done - last[1]) / max(now - last[0], 1e-3)
        last = (now, done)
        spread = " ".join(f"{node}:{count}" for node, count in sorted(replicas.items())) or "none yet"
        say(f"  {done:>7} done  {backlog:>7} backlog  {rate:>8.0f}/s  replicas {spread}")
        if done + dead >= total:
            return now - started, dead
        if now - started > deadline_s:
            raise SystemExit("demo: not done in time; see `sluice status`, `sluice logs flow/packages`")
        time.sleep(0.2)


def results_of(cluster):
    """Reads all of the queue `measured` without taking anything off it."""
    lines = cluster.run("queue", "peek", "measured", "--count", "0", "-o", "jsonl").splitlines()
    return [json.loads(line) for line in lines]


def table(title, header, rows):
    say(f"\n{title}")
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        cells = (str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(row, widths)))
        say("  " + "  ".join(cells))


def report(results):
    teams = collections.Counter(r["team"] for r in results)
    size = collections.Counter()
    for r in results:
        size[r["team"]] += r["installed_kib"]
    table("Who maintains the most of Debian", ["team", "packages", "GiB installed"],
          [[team[:40], count, f"{size[team] / 2**20:.1f}"] for team, count in teams.most_common(6)])
    table("The most demanding packages", ["package", "depends on", "MiB installed"],
          [[r["name"][:40], r["depends_count"], r["installed_kib"] // 1024]
           for r in sorted(results, key=lambda r: -r["depends_count"])[:5]])
    table("What unpacks to the most", ["package", "times its download"],
          [[r["name"][:40], f"{r['unpack_ratio']:.0f}"] for r in sorted(results, key=lambda r: -r["unpack_ratio"])[:5]])


def check(expected, results, dead):
    """Every record exactly once, or a list of those that are not."""
    seen = collections.Counter(r["id"] for r in results)
    missing = [i for i in expected if i not in seen]
    doubled = [i for i, count in seen.items() if count > 1]
    unknown = [i for i in seen if i not in expected]
    say(f"\n  {len(expected)} records in, {len(results)} out, {len(missing)} missing, "
        f"{len(doubled)} doubled, {len(unknown)} unknown, {dead} dead letters")
    for what, ids in (("missing", missing), ("doubled", doubled), ("unknown", unknown)):
        if ids:
            say(f"  {what}: {ids[:20]}")
    return not (missing or doubled or unknown)


def feed(cluster):
    """Starts to put all records into the queue; returns their ids and the process that does it."""
    path = os.path.join(cluster.home, "packages.jsonl")
    expected = set()
    with open(path, "w", encoding="utf-8") as out:
        for record in package_records():
            expected.add(record["id"])
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    if not expected:
        raise SystemExit("demo: `apt-cache dumpavail` knows no packages; run `apt-get update` first")
    feeder = subprocess.Popen([cluster.program, "queue", "put", "packages", path], env=cluster.env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return expected, feeder


def main():
    parser = argparse.ArgumentParser(prog="./dev demo")
    parser.add_argument("--sluice", required=True, help="the sluice program")
    parser.add_argument("--flow", required=True, help="the flow's binary")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    cluster = Cluster(os.path.abspath(options.sluice), tempfile.mkdtemp(prefix="sluice-demo-"))
    keep = False
    try:
        say("Starting a head and two workers ...")
        cluster.start(workers=2)
        say(cluster.run("list", "nodes").rstrip())
        say(f"\nSubmitting {os.path.basename(options.flow)} ...")
        cluster.run("submit", os.path.abspath(options.flow))
        expected, feeder = feed(cluster)
        say(f"\nPutting {len(expected)} records of this machine's package index into the queue `packages` ...")
        seconds, dead = watch(cluster, len(expected))
        _, talk = feeder.communicate()
        if feeder.returncode != 0:
            raise SystemExit(f"demo: `sluice queue put` failed: {talk}")
        say(f"\n  measured {len(expected)} packages in {seconds:.1f} s")
        results = results_of(cluster)
        report(results)
        ok = check(expected, results, dead)
        say("  every record came out exactly once" if ok else "  NOT every record came out exactly once")
        keep = options.keep and ok
        return 0 if ok else 1
    except KeyboardInterrupt:
        return 130
    finally:
        if keep:
            say(f"\nThe cluster is still running. Try:\n\n  export {HOME_VARIABLE}={cluster.home} PATH={os.path.dirname(cluster.program)}:$PATH\n"
                "  sluice status\n  sluice list replicas\n  sluice scale packages/measure 2\n  sluice logs flow/packages\n"
                "  sluice queue peek measured\n  sluice stop\n")
        else:
            cluster.stop()
            shutil.rmtree(cluster.home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
