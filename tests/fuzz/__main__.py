"""Runs each target for some seconds, in a process of its own, and prints what came of it.

`python -m tests.fuzz --seconds 60 [TARGET ...]`. Inputs that reach new code are kept in build/fuzz, and those that
break a target in build/fuzz/findings. The exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "build" / "fuzz"
FINDINGS = CORPUS / "findings"
NAMES = (
    "json",
    "form",
    "xml",
    "multipart",
    "content_type",
    "selector",
    "key",
    "scrubber",
    "guard",
    "connect",
    "fields",
    "webhook",
    "answer",
    "request",
)
_INSTRUMENTED = [
    "proxy.rewrite",
    "proxy.scrub",
    "proxy.guard",
    "proxy.edge.connect",
    "proxy.fields",
    "proxy.serving.request_reader",
    "proxy.upstream.answer_reader",
    "proxy.verifying",
    "vault",
]


class Outcome(NamedTuple):
    """What one run came to."""

    target: str
    executions: int
    coverage: int
    new: int
    findings: list[Path]
    broken: bool


def run(target: str, seconds: int) -> Outcome:
    """Fuzz one target; what it printed is in build/fuzz/TARGET.log."""
    corpus = CORPUS / target
    for folder in (corpus, FINDINGS):
        folder.mkdir(parents=True, exist_ok=True)
    known = set(FINDINGS.iterdir())
    options = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=4096",
        "-print_final_stats=1",
    ]
    options.append(f"-artifact_prefix={FINDINGS}/{target}-")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--worker", target, *options, corpus],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    (CORPUS / f"{target}.log").write_text(done.stdout)
    covered = [int(each) for each in re.findall(r"^#\d+\s+\w+\s+cov: (\d+)", done.stdout, re.MULTILINE)] or [0]
    executions = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    findings = sorted(set(FINDINGS.iterdir()) - known)
    return Outcome(
        target, int(executions[1]) if executions else 0, covered[-1], covered[-1] - covered[0], findings,
        done.returncode != 0,
    )  # fmt: skip


def work(target: str, arguments: list[str]) -> None:
    """Fuzz in this process. The modules are instrumented as they are imported."""
    import atheris  # an extra: the rest of this works without it

    with atheris.instrument_imports(include=_INSTRUMENTED):
        from tests.fuzz import targets
    corpus = Path(arguments[-1])
    for number, seed in enumerate(targets.seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[target])
    atheris.Fuzz()


def table(outcomes: list[Outcome]) -> Table:
    """One line a target."""
    lines = Table("target", "executions", "coverage", "new")
    lines.add_column("findings", overflow="fold")
    for each in outcomes:
        found = "\n".join(str(path.relative_to(ROOT)) for path in each.findings)
        if each.broken and not found:
            found = f"did not run: see build/fuzz/{each.target}.log"
        lines.add_row(each.target, str(each.executions), str(each.coverage), str(each.new), found or "none")
    return lines


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    options = parser.parse_args()
    outcomes = []
    for target in options.targets or NAMES:
        print(f"fuzzing {target} for {options.seconds} s ...", flush=True)
        outcomes.append(run(target, options.seconds))
    Console().print(table(outcomes))
    return int(any(each.broken for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
