"""Samples and queries for two programs that should answer the same: all of it comes from a seed.

What Prometheus 2.42 (Debian's) and Prometheus 3 answer differently by design, the samples and the queries keep out of:

- *Left-open ranges and lookback*: 3 leaves out a sample exactly at the left end. Samples have times of 1 to 400 ms past
  a second, queries are asked at half seconds and subqueries fall on whole ones, all ranges are whole seconds; but
  subqueries have a quarter of a second more, so that none of their steps falls on their own left end.
- *Delayed name removal*: 3 lets `label_replace` and `by (__name__)` see a name that a function has dropped. No query
  asks for `__name__` of anything but a selector.
- *Compensated sums of `sum` and `avg`*: values are quarters and whole numbers, so that sums are exact either way.
- *Minus zero*: compensated sums make it zero. No value is minus zero.
- *`holt_winters`* is `double_exponential_smoothing` in 3: `theirs` has the old name.
- *`atan2`* drops the metric name in 3, not in 2.42: its operands have lost theirs before.
- *`predict_linear` at `@`* of a range query: 2.42 moves the time on with the steps.
- *`stddev` and `stdvar`* of a single infinity are 0 in 2.42 and NaN in 3: they are asked for finite values only.
- *Extrapolation to a counter's zero*: 3 looks at the zero before it cuts the distance to half a sample, 2.42 the other
  way round. It matters only where a window begins with a hole and a value near zero; counters begin high.

And what nobody promises: which of equal values `topk` and `bottomk` take (they are asked for values that differ), and
the last bits of `%`, sines and cosines of large values that were rounded before (they are asked for of samples only).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from remote_write import STALE, Sample

T0 = 1_700_000_100
SECONDS = 3540
INTERVAL = 10

JOBS = ("api", "db", "web")
INSTANCES = ("a:1", "b:1", "c:2")
BOUNDS = ("0.05", "0.1", "0.5", "1", "5", "+Inf")

Series = tuple[dict[str, str], list[Sample]]


def samples() -> list[Series]:
    """An hour of some hundred series: counters with resets, gauges with NaN and infinities, classic histograms; series
    that begin late, end early (with a stale marker), have holes, and come back."""
    dice = random.Random(4)
    jitter = [dice.randrange(1, 401) for _ in range(SECONDS // INTERVAL)]
    times = [(T0 + i * INTERVAL) * 1000 + jitter[i] for i in range(len(jitter))]
    found: list[Series] = []

    def add(labels: dict[str, str], step: Callable[[float], float | bytes], first: float = 0.0) -> None:
        """A series of its own fate; `step` gives the next value from the last."""
        fate = dice.choice(("whole", "whole", "whole", "late", "ends", "hole", "stale hole", "sparse"))
        cut = sorted(dice.sample(range(40, len(times) - 40), 2))
        value, kept = first, []
        for i, time in enumerate(times):
            if fate == "late" and i < cut[0]:
                continue
            following = step(value)
            if fate == "ends" and i >= cut[1]:
                if i == cut[1]:
                    kept.append((time, STALE))
                continue
            if fate in ("hole", "stale hole") and cut[0] <= i < cut[1]:
                if fate == "stale hole" and i == cut[0]:
                    kept.append((time, STALE))
                continue
            if fate == "sparse" and i % 4:
                continue
            value = following
            kept.append((time, value))
        found.append((labels, kept))

    def counter(most: int, reset: float = 0.004) -> Callable[[float], float]:
        return lambda value: 0.0 if dice.random() < reset else value + dice.randrange(most)

    def gauge(width: int) -> Callable[[float], float]:
        return lambda value: value + dice.randrange(-width, width + 1) / 4

    def odd(value: float) -> float:
        roll = dice.random()
        if roll < 0.1:
            return dice.choice((float("nan"), float("inf"), float("-inf"), 0.0))
        return dice.randrange(-40, 40) / 4

    for job in JOBS:
        add({"__name__": "limit", "job": job}, lambda value: value, dice.randrange(100, 200))
        for instance in INSTANCES:
            where = {"job": job, "instance": instance}
            version = f"1.{dice.randrange(3)}"
            add({"__name__": "build_info", **where, "version": version}, lambda value: 1.0)
            add(
                {"__name__": "memory_bytes", **where},
                lambda value: value + 4096.0 * dice.randrange(-50, 51),
                1e8 + len(found),
            )
            add({"__name__": "flag", **where}, lambda value: float(dice.random() < 0.3))
            add({"__name__": "odd", **where}, odd)
            for method in ("GET", "POST"):
                labels = {**where, "method": method}
                add({"__name__": "requests_total", **labels}, counter(30), dice.randrange(1000, 9000))
            for room in ("hall", "lab"):
                add({"__name__": "temperature", **where, "room": room}, gauge(6), dice.randrange(-20, 40))
        for instance in INSTANCES[:2]:
            counts = [0] * len(BOUNDS)
            history: list[list[int]] = []
            for _ in times:
                for _ in range(dice.randrange(8)):
                    fit = dice.randrange(len(BOUNDS))
                    counts = [count + (at >= fit) for at, count in enumerate(counts)]
                history.append(list(counts))
            base = {"job": job, "instance": instance}
            for at, bound in enumerate(BOUNDS):
                row = [(time, 500.0 * (at + 1) + now[at]) for time, now in zip(times, history, strict=True)]
                found.append(({"__name__": "latency_seconds_bucket", **base, "le": bound}, row))
            total = [(time, 3000.0 + now[-1]) for time, now in zip(times, history, strict=True)]
            found.append(({"__name__": "latency_seconds_count", **base}, total))
            found.append(({"__name__": "latency_seconds_sum", **base}, [(time, v * 0.25) for time, v in total]))
    return found


@dataclass(frozen=True)
class Query:
    text: str
    # Seconds; an instant when there is no step.
    start: float
    end: float
    step: int | None

    @property
    def theirs(self) -> str:
        return self.text.replace("double_exponential_smoothing", "holt_winters")


GAUGES = ("temperature", "memory_bytes", "flag", "odd", "limit")
COUNTERS = ("requests_total", "latency_seconds_count", "latency_seconds_bucket")
RANGES = ("30s", "1m", "2m", "5m", "7m", "95s", "1h")
# Of a name each label once, with matchers that some series satisfy.
MATCHERS = ('job="api"', 'job!="db"', 'job=~"a.*|web"', 'instance!~"b.+"', 'instance="a:1"', 'none=""', 'job=~".+"')
OVER_TIME = (
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "changes",
    "delta",
    "idelta",
    "deriv",
    "resets",
)
OF_COUNTERS = ("rate", "increase", "irate", "resets", "changes")
MATH = (
    "abs",
    "ceil",
    "floor",
    "exp",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "sgn",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "asin",
    "acos",
    "atanh",
    "deg",
    "rad",
    "timestamp",
    "minute",
    "hour",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "days_in_month",
    "month",
    "year",
    "-",
)
AGGREGATES = ("sum", "avg", "min", "max", "count", "group")
OPERATORS = ("+", "-", "*", "/", "<", ">", "<=", ">= bool", "< bool", "!=")
LABELS = ("job", "instance", "method", "room", "job, instance", "le", "none", "")


class Generator:
    """Queries of PromQL's grammar, nested as deep as asked."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def pick(self, of):
        return self.dice.choice(of)

    def query(self) -> Query:
        text = self.vector(self.pick((1, 2, 2, 3)))
        if self.dice.random() < 0.5:
            at = T0 + self.dice.randrange(420, SECONDS + 120) + 0.5
            return Query(text, at, at, None)
        step = self.pick((15, 30, 60, 97))
        start = T0 + self.dice.randrange(-60, SECONDS // 2) + 0.5
        return Query(text, start, start + step * self.dice.randrange(5, 60), step)

    # --- selectors

    def shift(self) -> str:
        roll = self.dice.random()
        if roll < 0.12:
            return f" offset {self.pick(('1m', '-30s', '7m', '95s'))}"
        if roll < 0.2:
            return f" @ {T0 + self.dice.randrange(400, SECONDS)}.5"
        if roll < 0.25:
            return f" @ {self.pick(('start()', 'end()'))} offset {self.pick(('30s', '3m'))}"
        return ""

    def matchers(self) -> str:
        some = self.dice.sample(MATCHERS, self.pick((0, 0, 1, 1, 2)))
        return "{" + ", ".join(some) + "}" if some else ""

    def selector(self, names: tuple[str, ...]) -> str:
        return self.pick(names) + self.matchers()

    # --- instant vectors

    def vector(self, depth: int) -> str:
        if depth == 0:
            return self.selector(GAUGES + COUNTERS) + self.shift()
        forms = (
            (self.counter, 4),
            (self.over_time, 4),
            (self.aggregate, 5),
            (self.math, 3),
            (self.with_scalar, 3),
            (self.of_two, 4),
            (self.sets, 2),
            (self.histogram, 2),
            (self.labels, 2),
            (self.sorted, 1),
            (self.absent, 1),
            (self.scalars, 1),
        )
        (form,) = self.dice.choices([form for form, _ in forms], [weight for _, weight in forms])
        return form(depth - 1)

    def counter(self, _: int) -> str:
        window = f"{self.selector(COUNTERS)}[{self.pick(RANGES[1:])}]{self.shift()}"
        return f"{self.pick(OF_COUNTERS)}({window})"

    def window(self, depth: int) -> str:
        if self.dice.random() < 0.65:
            return f"{self.plain_window()}{self.shift()}"
        inner = self.counter(0) if self.dice.random() < 0.5 else self.vector(min(depth, 1))
        length = self.pick(("5m250ms", "2m250ms", "10m250ms"))
        return f"({inner})[{length}:{self.pick(('15s', '30s', '1m', ''))}]{self.shift()}"

    def plain_window(self) -> str:
        return f"{self.selector(GAUGES)}[{self.pick(RANGES)}]"

    def over_time(self, depth: int) -> str:
        window = self.window(depth)
        roll = self.dice.random()
        if roll < 0.1:
            return f"quantile_over_time({self.pick((0.5, 0.9, 0, 1, 1.5))}, {window})"
        if roll < 0.2:
            return f"predict_linear({self.plain_window()}, {self.pick((60, 3600, -30))})"
        if roll < 0.25:
            return f"double_exponential_smoothing({window}, 0.3, 0.6)"
        if roll < 0.3:
            return f"absent_over_time({window})"
        return f"{self.pick(OVER_TIME)}({window})"

    def aggregate(self, depth: int) -> str:
        inner = self.vector(depth)
        by = self.pick(("", f"by ({self.pick(LABELS)})", f"without ({self.pick(LABELS)})"))
        roll = self.dice.random()
        if roll < 0.12:
            different = self.pick(("memory_bytes", "max_over_time(memory_bytes[2m])", "memory_bytes * 2"))
            return f"{self.pick(('topk', 'bottomk'))} {by} ({self.pick((1, 2, 5))}, {different})"
        if roll < 0.2:
            return f"quantile {by} ({self.pick((0.5, 0.99, 0, -1))}, {inner})"
        if roll < 0.25:
            return f'count_values {by} ("value", floor({self.selector(GAUGES)} / 8))'
        if roll < 0.35:
            return f"{self.pick(('stddev', 'stdvar'))} {by} ({self.selector(('temperature', 'flag', 'memory_bytes'))})"
        return f"{self.pick(AGGREGATES)} {by} ({inner})"

    def math(self, depth: int) -> str:
        inner = self.vector(depth)
        roll = self.dice.random()
        if roll < 0.15:
            return f"round({inner}, {self.pick((0.5, 10, 1))})"
        if roll < 0.3:
            return self.pick((f"clamp({inner}, -5, 50)", f"clamp_min({inner}, 0)", f"clamp_max({inner}, 9)"))
        if roll < 0.4:
            return f"{self.pick(('sin', 'cos', 'tan'))}({self.selector(GAUGES)})"
        return f"{self.pick(MATH)}({inner})"

    def number(self) -> str:
        plain = ("2", "-3", "0.25", "100", "1e3", "NaN", "+Inf", "0", "0x1f")
        return self.pick((*plain, "time()", "pi()", f"scalar(limit{{{self.pick(MATCHERS[:1])}}})"))

    def with_scalar(self, depth: int) -> str:
        op = self.pick((*OPERATORS, "^", "%"))
        of = self.vector(depth) if op != "%" else self.selector(GAUGES)
        left, right = f"({of})", self.number()
        if self.dice.random() < 0.3:
            left, right = right, left
        return f"{left} {op} {right}"

    def of_two(self, depth: int) -> str:
        op = self.pick(OPERATORS)
        roll = self.dice.random()
        if roll < 0.25:
            op = self.pick((op, op, "atan2"))
            left = f"{self.pick(AGGREGATES)} by (job, instance) ({self.vector(depth)})"
            right = f"{self.pick(AGGREGATES)} by (instance, job) ({self.vector(depth)})"
            return f"({left}) {op} ({right})"
        if roll < 0.5:
            return f"{self.selector(GAUGES)} {op} ignoring (room) {self.selector(('memory_bytes', 'flag', 'odd'))}"
        if roll < 0.75:
            extra = self.pick(("", "version"))
            many = self.selector(("temperature", "requests_total", "memory_bytes"))
            return f"{many} {op} on (job, instance) group_left ({extra}) build_info"
        one = self.pick(("limit", "sum by (job) (flag)", "avg without (room, instance) (temperature)"))
        return f"{one} {op} on (job) group_right () ({self.vector(depth)})"

    def sets(self, depth: int) -> str:
        matching = self.pick(("", "on (job)", "on (job, instance)", "ignoring (room)"))
        op = self.pick(("and", "or", "unless"))
        return f"({self.vector(depth)}) {op} {matching} ({self.vector(depth)})"

    def histogram(self, _: int) -> str:
        buckets = f"latency_seconds_bucket{self.matchers()}"
        inner = self.pick(
            (
                f"rate({buckets}[{self.pick(RANGES[2:])}])",
                buckets,
                f"sum by (le) (rate({buckets}[5m]))",
                f"sum by (job, le) (increase({buckets}[2m]{self.shift()}))",
            )
        )
        return f"histogram_quantile({self.pick((0.5, 0.9, 0.99, 0, 1, -1, 2, 0.1))}, {inner})"

    def labels(self, depth: int) -> str:
        inner = self.vector(depth)
        if self.dice.random() < 0.3:
            return f'label_join({inner}, "both", "-", "job", "instance")'
        source, pattern = self.pick((("instance", "(.*):(.*)"), ("job", "(a|w)(.*)"), ("none", ""), ("job", "x")))
        target = self.pick(("port", "job", "new"))
        replacement = self.pick(("$2", "x-$1", "", "${2}y"))
        return f'label_replace({inner}, "{target}", "{replacement}", "{source}", "{pattern}")'

    def sorted(self, depth: int) -> str:
        return f"{self.pick(('sort', 'sort_desc'))}({self.vector(depth)})"

    def absent(self, depth: int) -> str:
        return self.pick((f"absent({self.selector(GAUGES)})", 'absent(none{job="x", a=~"b"})', "absent(limit > 1e9)"))

    def scalars(self, depth: int) -> str:
        return f"vector(scalar(sum({self.vector(depth)})) {self.pick(('+', '*', '> bool'))} {self.number()})"


def queries(seed: int, count: int) -> list[Query]:
    generator = Generator(seed)
    return [generator.query() for _ in range(count)]
