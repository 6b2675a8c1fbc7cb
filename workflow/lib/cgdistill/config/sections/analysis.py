"""Analysis of the runs: structure, statistics, stability."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..keys import key


@dataclass(frozen=True, kw_only=True)
class Rdf:
    """Radial distribution functions of all pairs of bead types."""

    r_max_A: float = key("Largest distance; at most half the smallest width of the cell.", 20.0, unit="Å", above=0)
    bin_width_A: float = key("Width of the bins.", 0.1, unit="Å", above=0)


@dataclass(frozen=True, kw_only=True)
class Adf:
    """Angular distribution functions."""

    triplets: tuple[tuple[str, str, str], ...] | None = key(
        "Triplets of bead types, the centre in the middle; an empty list for no ADFs. `null`: each bead type with "
        "two neighbours of the same type.",
        None,
    )
    r_max_A: tuple[float, ...] = key(
        "Largest distance of both neighbours from the centre, one ADF for each; at most half the smallest width of "
        "the cell.",
        (6.0, 6.5, 7.5),
        unit="Å",
        above=0,
        min_items=1,
        unique=True,
    )
    bin_width_deg: float = key("Width of the bins.", 2.0, unit="°", above=0, maximum=90)


@dataclass(frozen=True, kw_only=True)
class Cdf:
    """Cluster distribution functions of each bead type."""

    r_max_A: float = key("Largest merge distance.", 12.0, unit="Å", above=0)
    bin_width_A: float = key("Width of the bins.", 0.1, unit="Å", above=0)
    resolved_every_ps: float = key(
        "Length of the time windows of time-resolved CDFs and of peak drifts; at least `simulation.frame_every_ps`.",
        10.0,
        unit="ps",
        above=0,
    )


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Structure of all-atom reference and simulations, compared by the total absolute error."""

    rdf: Rdf = field(default_factory=Rdf)
    adf: Adf = field(default_factory=Adf)
    cdf: Cdf = field(default_factory=Cdf)


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Confidence intervals and tests between models."""

    blocks: int = key(
        "Number of blocks of consecutive frames into which each trajectory is divided (fewer if it has fewer frames). "
        "Blocks should be longer than the correlation time, which the report gives.",
        10,
        minimum=2,
        maximum=100,
    )
    resamples: int = key("Number of bootstrap samples over replicas and blocks.", 2000, minimum=100)
    confidence: float = key(
        "Confidence level of the intervals; 1 - `confidence` is the level of the tests between models after Holm's "
        "correction for their number.",
        0.95,
        above=0.5,
        below=1,
    )


@dataclass(frozen=True, kw_only=True)
class Stability:
    """Limits beyond which a run counts as drifting or clustered."""

    cdf_shift_A: float = key(
        "Shift of the peak of the CDF of any bead type over the production, beyond its noise. The peak position is "
        "the centroid of the upper 30 % of the peak.",
        0.5,
        unit="Å",
        above=0,
    )
    rdf_shift_A: float = key(
        "Shift of the first peak of the RDF of any pair over the production, beyond its noise.",
        0.3,
        unit="Å",
        above=0,
    )
    energy_drift_kcal_mol_bead: float = key(
        "Drift of the potential energy per bead over the production.", 0.1, unit="kcal/mol", above=0
    )
    temperature_drift_K: float = key("Drift of the temperature over the production.", 15.0, unit="K", above=0)
    largest_cluster: float = key(
        "Fraction of the beads of a type in its largest cluster, median over the last third of the run. Beads closer "
        "than the median merge distance of the reference belong to the same cluster.",
        0.5,
        above=0,
        maximum=1,
    )
