#!/usr/bin/env python3
"""Holds the dashboard, the rules and the guide to a real Prometheus, which scrapes the example `observed`.

Every query must be understood and show something: each of the dashboard, each in `docs/guide/observe.md`, each number that is
recorded, and what each alert compares. Every family must be in some panel. Then promtool looks at the configuration, the rules,
their tests and the names of the metrics.

    cargo build -p deriva --example observed
    monitoring/check.py
    monitoring/check.py --render docs/guide/dashboard.svg --seconds 120

Needs Debian's package `prometheus` (scripts/setup.sh installs it), or its two programs in PATH. PyYAML is put into an environment
below the cache folder.
"""

import argparse
import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
DASHBOARD = HERE / "grafana/dashboards/deriva.json"
GUIDE = HERE.parent / "docs/guide/observe.md"
FAMILIES = HERE.parent / "deriva-metrics/src/families/table.rs"
PACKAGES = ["PyYAML>=6,<7"]
# What the variables of the dashboard stand for here. Some queries look at a quarter of a minute, so that a machine that is busy
# does not leave them without two samples.
VARIABLES = {"$__rate_interval": "15s", "$instance": ".+"}
# Between two looks at something that takes its time.
PAUSE = 0.25
# `render` is imported from the checkout, which stays as it is.
sys.dont_write_bytecode = True


def inside_own_environment():
    """Runs this script again inside its environment, which is made where it is not there yet."""
    if os.environ.get("DERIVA_MONITORING_VENV") == "1":
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    venv = cache / "deriva" / "monitoring-venv"
    python, ready = venv / "bin" / "python", venv / "ready"
    if not ready.exists() or ready.read_text() != "\n".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        ready.write_text("\n".join(PACKAGES))
    os.execve(python, [str(python), __file__, *sys.argv[1:]], {**os.environ, "DERIVA_MONITORING_VENV": "1"})


class Failed(Exception):
    """What is wrong, in words."""


# What is asked.


def panels():
    """The panels of the dashboard that show something."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def substituted(query):
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    if "$" in query:
        raise Failed(f"a variable that this script does not know: {query}")
    return query


def of_dashboard():
    for panel in panels():
        for target in panel["targets"]:
            yield f"panel {panel['title']!r} {target['refId']}", substituted(target["expr"])


def of_guide():
    """Queries of the guide: each line of a block of PromQL that is no comment."""
    for block in re.findall(r"^```promql\n(.*?)^```", GUIDE.read_text(), re.M | re.S):
        for line in block.splitlines():
            if line and not line.startswith("#"):
                yield "the guide", substituted(line)


def at_top(query):
    """The query with all that is within brackets or quotes blanked out, so that what is left is at its top."""
    blank, depth, quote = [], 0, None
    for char in query:
        if quote:
            quote = None if char == quote else quote
            blank.append(" ")
        elif char in "\"'":
            quote = char
            blank.append(" ")
        else:
            depth -= char in ")]}"
            blank.append(char if depth == 0 and char not in "([{" else " ")
            depth += char in "([{"
    return "".join(blank)


def compared(query):
    """What an alert compares: the query in parts, without its comparisons and the numbers in them."""
    operators = list(re.finditer(r"\b(?:and|or|unless)\b(?: (?P<on>on|ignoring)\b)?|[=!<>]=|[<>]", at_top(query)))
    begins = [(0, False)] + [(found.end(), bool(found["on"])) for found in operators]
    ends = [found.start() for found in operators] + [len(query)]
    for (begin, has_labels), end in zip(begins, ends):
        part = query[begin:end].strip()
        if has_labels:
            part = part[part.index(")") + 1 :].strip()
        if not re.fullmatch(r"[\d.e+-]+", part):
            yield part


def of_rules(rules):
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "record" in rule:
                yield f"record {rule['record']}", rule["expr"]
            else:
                for part in compared(rule["expr"]):
                    yield f"alert {rule['alert']}", part


# Programs.


@contextlib.contextmanager
def running(command, pattern, stream):
    """A program, and what it says first that matches a pattern. It is ended by its id, whatever happens."""
    said = {"stdout": None, "stderr": None}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, **{**dict.fromkeys(said, subprocess.DEVNULL), stream: subprocess.PIPE})
    lines, found, ready = [], [], threading.Event()

    def read():
        for line in getattr(process, stream):
            lines.append(line)
            if not found and (match := re.search(pattern, line)):
                found.append(match[1])
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        if not ready.wait(60) or not found:
            raise Failed(f"{Path(command[0]).name} did not begin:\n{''.join(lines[-20:])}")
        yield found[0]
        if process.poll() not in (None, 0):
            raise Failed(f"{Path(command[0]).name} ended with {process.returncode}:\n{''.join(lines[-20:])}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(10)


def get(url, **params):
    query = f"?{urllib.parse.urlencode(params)}" if params else ""
    with urllib.request.urlopen(url + query, timeout=10) as answer:
        return answer.read().decode()


class Prometheus:
    def __init__(self, address):
        self.api = f"http://{address}/api/v1/"

    def ask(self, call, **params):
        """The data of an answer. Raises `Failed` with Prometheus's own words."""
        try:
            return json.loads(get(self.api + call, **params))["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                # It still begins.
                return None
            text = error.read().decode()
            with contextlib.suppress(ValueError):
                text = json.loads(text)["error"]
            raise Failed(text) from error
        except OSError:
            return None

    def shows(self, query):
        """Whether it answers with a number."""
        data = self.ask("query", query=query)
        return data is not None and any(math.isfinite(float(series["value"][1])) for series in data["result"])

    def wrong_rules(self):
        """What is wrong with rules; `None` while some were not looked at yet."""
        data = self.ask("rules")
        rules = [rule for group in (data or {"groups": []})["groups"] for rule in group["rules"]]
        if not rules or any(rule["health"] == "unknown" for rule in rules):
            return None
        return [f"rule {rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"]


def configuration(target, folder):
    """The configuration of the repository, for this target, and in a hurry."""
    import yaml

    config = yaml.safe_load((HERE / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(HERE / "prometheus" / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    # JSON is YAML.
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))
    return path


def promtool(*args, **more):
    done = subprocess.run(["promtool", *map(str, args)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **more)
    if done.returncode != 0:
        raise Failed(f"promtool {' '.join(map(str, args))}:\n{done.stdout}")


# What is checked.


def check_files():
    """What can be looked at without running anything."""
    import yaml

    for path in sorted(HERE.rglob("*.y*ml")):
        yaml.safe_load(path.read_text())
    compose = HERE / "docker-compose.yml"
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        subprocess.run(["docker", "compose", "-f", compose, "config", "--quiet"], check=True)
    for service in yaml.safe_load(compose.read_text())["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith(".") and not (HERE / source).exists():
                raise Failed(f"docker-compose.yml: {source} is not there")
    promtool("check", "config", HERE / "prometheus/prometheus.yml")
    promtool("check", "rules", HERE / "prometheus/rules.yml")
    promtool("test", "rules", HERE / "prometheus/rules.test.yml")

    ids = [panel["id"] for panel in panels()]
    silent = [panel["title"] for panel in panels() if not panel.get("description")]
    if len(ids) != len(set(ids)) or silent:
        raise Failed(f"panels share a number, or do not say what they mean: {silent}")
    shown = " ".join(query for _, query in of_dashboard())
    families = re.findall(r'"(deriva_\w+)"', FAMILIES.read_text())
    hidden = [name for name in families if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", shown)]
    if len(families) < 50 or hidden:
        raise Failed(f"of {len(families)} families no panel shows {', '.join(hidden)}")
    return len(families)


def check_queries(prometheus, queries, until):
    """Waits until every query shows something."""
    waiting, wrong = dict.fromkeys(queries), []
    while waiting or (broken := prometheus.wrong_rules()) is None:
        for name, query in list(waiting):
            try:
                if not prometheus.shows(query):
                    continue
            except Failed as error:
                wrong.append(f"{name}: {error}\n    {query}")
            del waiting[name, query]
        if time.monotonic() > until:
            wrong += [f"{name}: shows nothing\n    {query}" for name, query in waiting]
            if (broken := prometheus.wrong_rules()) is None:
                broken = ["the rules were not evaluated"]
            break
        time.sleep(PAUSE)
    wrong += broken
    if wrong:
        raise Failed("\n".join(wrong))


def example():
    """The program `observed`, as CI and `cargo build -p deriva --example observed` leave it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = [os.environ.get("CARGO_TARGET_DIR"), cache / "deriva/target", HERE.parent / "target"]
    for folder in filter(None, folders):
        path = Path(folder) / "debug/examples/observed"
        if path.exists():
            return path
    raise Failed("the example is not built: cargo build -p deriva --example observed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--example", type=Path, help="the program observed (default: that of the folder that cargo builds in)")
    parser.add_argument("--seconds", type=int, default=60, help="how long to wait at most (default: 60)")
    parser.add_argument("--render", type=Path, metavar="FILE", help="go on for all of the time, and draw the dashboard to this SVG")
    args = parser.parse_args()
    for program in ("prometheus", "promtool"):
        if not shutil.which(program):
            raise Failed(f"{program} is not there: scripts/setup.sh installs it")

    import yaml

    began = time.monotonic()
    families = check_files()
    rules = yaml.safe_load((HERE / "prometheus/rules.yml").read_text())
    parts = {"dashboard": list(of_dashboard()), "guide": list(of_guide()), "rules": list(of_rules(rules))}
    queries = [query for part in parts.values() for query in part]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # It ends by itself, too, should this script be killed.
        observed = [args.example or example(), "--seconds", str(args.seconds + 60)]
        url = stack.enter_context(running(observed, r"(http://\S+)", "stdout"))
        promtool("check", "metrics", input=get(url))
        options = {
            "config.file": configuration(urllib.parse.urlsplit(url).netloc, folder),
            "storage.tsdb.path": folder / "data",
            "web.listen-address": "127.0.0.1:0",
        }
        command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
        prometheus = Prometheus(stack.enter_context(running(command, r"Listening on.*address=\"?([\d.:]+)", "stderr")))
        scraped = time.time()
        check_queries(prometheus, queries, time.monotonic() + args.seconds)
        if args.render:
            import render

            while time.time() < scraped + args.seconds:
                time.sleep(PAUSE)
            asked = {"start": scraped + 15, "end": time.time(), "step": 1}
            ask = lambda query: prometheus.ask("query_range", query=substituted(query), **asked)["result"]
            args.render.write_text(render.page(json.loads(DASHBOARD.read_text()), ask))
    counts = ", ".join(f"{len(part)} of the {name}" for name, part in parts.items())
    print(f"all {len(queries)} queries show something: {counts}; {families} families are in panels; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    inside_own_environment()
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        main()
    except Failed as error:
        sys.exit(str(error))
