"""Samples as the judges compare them, whichever format or program they come from."""

import math
import re

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

Samples = dict[tuple, float]


def identity(name: str, labels: dict[str, str]) -> tuple:
    """A series: an empty label is no label, and a bound is a number (`1` here is `1.0` there)."""
    return name, tuple(
        sorted(
            (key, str(float(value)) if key in ("le", "quantile") else value) for key, value in labels.items() if value
        )
    )


def of_families(families) -> Samples:
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = identity(sample.name, sample.labels)
            assert key not in found, f"twice on one page: {key}"
            found[key] = float(sample.value)
    return found


def signed(page: str) -> str:
    """Minus zero with a point: prometheus_client reads whole numbers as integers, which have none."""
    return re.sub(r" -0$", " -0.0", page, flags=re.MULTILINE)


def of_text(page: str) -> Samples:
    return of_families(read_text(signed(page)))


def of_openmetrics(page: str) -> Samples:
    return of_families(read_openmetrics(signed(page)))


def without_created(samples: Samples) -> Samples:
    """Without what OpenMetrics alone has."""
    return {key: value for key, value in samples.items() if not key[0].endswith("_created")}


def without_recorded(samples: Samples) -> Samples:
    """Without what rules record, whose names have colons: it is in the stream and not at /metrics."""
    return {key: value for key, value in samples.items() if ":" not in key[0]}


def same(one: float, other: float) -> bool:
    """Equal as bits: NaN is NaN, and minus zero is not zero."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other and math.copysign(1, one) == math.copysign(1, other)


def differences(said: Samples, shown: Samples) -> dict[tuple, tuple]:
    """Series of `said` which `shown` lacks or has with another value: (said, shown)."""
    return {
        key: (value, shown.get(key)) for key, value in said.items() if key not in shown or not same(value, shown[key])
    }
