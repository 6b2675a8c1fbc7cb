"""Sentences that captions of figures share, and those that metrics give; light to import, for rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..structure.metrics import PRESENTATIONS
from ..structure.spec import StructureSpec


def caption_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the templates of captions, which find them as ``snakemake.params.captions``.

    Returns
    -------
    ``curves``: sentences on the curves of each metric, by name. ``sums``: what overall errors are summed over.
    ``model``: curves on the sheet of a model. ``rules_of_thumb`` with their values, and ``thumb_sources``.
    ``bars``: sentences on error bars and noise.
    """
    spec = StructureSpec.from_config(config["structure"])
    metrics = {name: own for name, own in spec.settings.items() if spec.parameters(name)}
    shown = [PRESENTATIONS[name] for name in metrics]
    largest = {name: max(spec.parameters(name)) for name in metrics}
    rules = [own for own in shown if own.rule_of_thumb is not None]
    sources = dict.fromkeys(own.rule_of_thumb.source for own in rules if own.rule_of_thumb is not None)
    return {
        "curves": {name: PRESENTATIONS[name].caption(own) for name, own in metrics.items()},
        "sums": _and([f"{own.items} ({own.title})" for own in shown]),
        "model": _and([_with_parameter(own.name, largest[own.name]) for own in shown]),
        "rules_of_thumb": ", ".join(f"{own.title} {own.error_text(f'{own.threshold:g}')}" for own in rules),
        "thumb_sources": _and(list(sources)),
        "bars": f"Error bars: {100 * config['statistics']['confidence']:g} % interval (grey where there is one run: "
        "from the noise of its frames alone). Grey behind the bars, with a line at its end: error expected from finite "
        "sampling alone.",
    }


def _with_parameter(name: str, value: float) -> str:
    shown = PRESENTATIONS[name]
    if shown.parameter is None or not math.isfinite(value):
        return shown.title
    return f"{shown.title} ({shown.parameter.words.format(shown.parameter.text(value))})"


def _and(texts: Sequence[str]) -> str:
    """``A, B and C``."""
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
