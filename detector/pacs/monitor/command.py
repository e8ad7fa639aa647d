"""``fracture-detector monitor``: a page from the run log, and an alarm when films have changed.

    fracture-detector monitor spool/run.jsonl --out monitor.html

Decisions by day, scope and score drift against the model card and the node's own first films. Days
are UTC. The page is one file that calls nothing. Exit code: 0 no alarm, 4 the last day alarms,
2 wrong usage. Not a medical device.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

from detector.io.atomic_io import replace_file
from detector.model.calibration import Decision
from detector.model.hub import resolve_weights
from detector.pacs.monitor.charts import decisions_chart, scope_chart, score_chart
from detector.pacs.monitor.drift import TESTS, Day, Drift, Reference, Rule, measure_drift
from detector.pacs.node.run_log import read_log

QUIET, ALARM = 0, 4
SHOWN_DAYS = 90

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}
svg{width:100%;height:auto} text{font-size:12px;fill:#555}
table{border-collapse:collapse;font-size:14px;width:100%} .scroll{overflow-x:auto}
td,th{padding:.2rem .5rem;text-align:right;border-bottom:1px solid #ddd} td:first-child{
white-space:nowrap} .alarm{background:#fbe3d6;font-weight:600}
.state{padding:.6rem 1rem;border:2px solid #009e73;border-radius:6px}
.state.alarm{border-color:#d55e00} .legend{font-size:13px;color:#555}
.legend span{margin-right:1rem}
.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.35em}
"""


def main(argv: list[str] | None = None) -> int:
    """Write the page. ValueError or OSError when the log or a setting is wrong."""
    default = Rule()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", type=Path, help="run log of the node")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="page to write")
    parser.add_argument("--window", type=int, default=default.window, metavar="N",
                        help="latest films that are tested (default: %(default)s)")
    parser.add_argument("--baseline", type=int, default=default.baseline, metavar="N",
                        help="first films that they are compared with (default: %(default)s)")
    parser.add_argument("--alarm-rate", type=float, default=default.alarm_rate, metavar="P",
                        help="proportion of days that may alarm for nothing (default: %(default)s)")
    parser.add_argument("--source", default="fracatlas", metavar="S",
                        help="test films of the model card to compare with (default: %(default)s)")
    parser.add_argument("--model", metavar="M", help="weights folder or Hub id of the model card")
    arguments = parser.parse_args(argv)

    rule = Rule(arguments.window, arguments.baseline, arguments.alarm_rate)
    config = json.loads((Path(resolve_weights(arguments.model)) / "config.json").read_text())
    reference = Reference.from_config(config, arguments.source)
    drift = measure_drift(read_log(arguments.log), reference, rule)
    replace_file(arguments.out, render(drift, reference, rule).encode())
    print(_state(drift, rule))
    return ALARM if drift.days[-1].alarms else QUIET


def render(drift: Drift, reference: Reference, rule: Rule) -> str:
    """The page: one HTML document without scripts or outside addresses."""
    days = drift.days[-SHOWN_DAYS:]
    alarm = " alarm" if drift.days[-1].alarms else ""
    others = (f" {drift.others} films by other models are left out." if drift.others else "")
    proportion = reference.out_of_scope / reference.films
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Fracture detector: monitor</title>
<meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>Fracture detector: monitor</h1>
<p>{len(drift.scored)} films from {drift.days[0].day} to {drift.days[-1].day} (UTC), model
{escape(drift.model)}.{others} No patient data. Not a medical device.</p>
<p class="state{alarm}">{escape(_state(drift, rule))}</p>
<h2>Decisions by day</h2>{decisions_chart(days)}
<h2>Scope score by day</h2>
<p>How far a film lies from limb films toward other pictures; above 1 it is out of scope. On the
model card's {reference.films} test films ({escape(reference.source)}) {proportion:.1%} were.</p>
{scope_chart(days)}
<h2>Scores</h2>
<p>Proportion of films (up) below each calibrated probability (along).</p>
{score_chart(drift.scored, reference, rule)}
<h2>By day</h2><div class="scroll"><table>{"".join(_table(days))}</table></div>
<h2>The alarm rule</h2>{_rule(reference, rule)}
</body></html>
"""


def _state(drift: Drift, rule: Rule) -> str:
    last = drift.days[-1]
    if last.alarms:
        tests = "; ".join(f"{name}: p = {last.p[name]:.2g}" for name in last.alarms)
        return f"ALARM on {last.day}: {tests}."
    if not last.p:
        return f"No test yet: {len(drift.scored)} of {rule.window} films."
    own = "" if len(last.p) == len(TESTS) else " The comparison with the first films starts later."
    return f"No alarm on {last.day}.{own}"


def _table(days: tuple[Day, ...]) -> Iterator[str]:
    yield _row("th", ("day", "films", *Decision, "not read", *(f"p: {name}" for name in TESTS)))
    for day in reversed(days):
        proportions = (f"{day.decisions.get(name, 0) / day.films:.0%}" for name in Decision)
        values = (f"{day.p[name]:.2g}" if name in day.p else "–" for name in TESTS)
        cells = (str(day.day), str(day.films), *proportions, str(day.unread), *values)
        yield _row("td", cells, "alarm" if day.alarms else "")


def _row(kind: str, cells: tuple[str, ...], mark: str = "") -> str:
    inside = "".join(f"<{kind}>{escape(cell)}</{kind}>" for cell in cells)
    return f'<tr class="{mark}">{inside}</tr>' if mark else f"<tr>{inside}</tr>"


def _rule(reference: Reference, rule: Rule) -> str:
    return f"""<p>After each day with films, the latest {rule.window} films are tested: their scores
(two-sample Kolmogorov-Smirnov at the operating points) and their proportion out of scope (Fisher's
exact test) against the {reference.films} test films of the model card; and, from the node's film
{rule.baseline + rule.window} on, scores and scope scores against its first {rule.baseline} films
(Kolmogorov-Smirnov). A day alarms when a test's p-value lies below {rule.alarm_rate:g} divided by
the number of that day's tests. If nothing has changed, at most {rule.alarm_rate:.2g} of the days
alarm on average.</p>
<p>An alarm against the card means that its figures may not hold for these films: another mix of
patients or body parts is enough. An alarm against the first films means that something changed
here: a device, its processing, the patients. Neither says that the model has become worse; a check
of films with known answers does.</p>"""


if __name__ == "__main__":
    sys.exit(main())
