"""Tables of the networks on the report page: forces beside their noise ceiling, disagreement, errors on test frames."""

from __future__ import annotations

from ..config.targets import ALL_ATOM_FORCES, TARGETS
from ..core.vocabulary import NetworkStatus
from .data import ReportData
from .parts import NOTHING, Cell, Row, Table, interval, known, model_cell, number, percent, spread


def share_of_ceiling(data: ReportData, r2: float) -> str:
    """R² on forces as a share of the noise ceiling over all beads; empty where that is not known."""
    table = data.tables.get("ceiling")
    own = table[table["bead_type"] == "all"] if table is not None else None
    if own is None or own.empty or not known(r2):
        return ""
    # Without an upper bound nothing is known of the ceiling but that it is not lower than the lower one.
    closed = known(own["upper"].iloc[0])
    ceiling = float(own["estimate" if closed else "lower"].iloc[0])
    return f"{'' if closed else 'at most '}{percent(r2 / ceiling)} of ceiling" if ceiling > 0 else ""


def ceiling_warnings(data: ReportData) -> list[str]:
    """What keeps the noise ceiling from being known, each once."""
    table = data.tables.get("ceiling")
    return [] if table is None else [str(text) for text in dict.fromkeys(table["warning"].dropna()) if text]


def force_r2(data: ReportData) -> dict[str, float]:
    """R² on all-atom forces of the test frames by variant; of all teachers together from the table of the ceiling."""
    own = data.training
    own = own[(own["split"] == "test") & (own["target"] == ALL_ATOM_FORCES) & (own["bead_type"] == "all")]
    found = {str(name): float(value) for name, value in own.groupby("variant")["r2"].mean().items()}
    table = data.tables.get("ceiling")
    if table is not None and (table["bead_type"] == "all").any():
        together = float(table.loc[table["bead_type"] == "all", "r2_mean_teacher"].iloc[0])
        found |= {model.name: together for model in data.palette.models if model.family == "T8"}
    return found


def ceiling_table(data: ReportData) -> Table | None:
    """Noise ceiling of the labels by bead type."""
    table = data.tables.get("ceiling")
    if table is None or table.empty:
        return None
    rows = []
    for row in table.itertuples():
        estimate = Cell(number(row.estimate), float(row.estimate), (interval(row.ci_low, row.ci_high),))
        if not known(row.upper):
            estimate = Cell(f"≥ {number(row.lower)}", float(row.lower))
        rows.append(
            Row([
                Cell(str(row.bead_type)),
                estimate,
                *(Cell(number(value), float(value)) for value in (row.lower, row.upper, row.r2_one_teacher,
                                                                  row.r2_mean_teacher, row.r2_infinite)),
            ])
        )  # fmt: skip
    heads = ["Beads", "Ceiling of R²", "Lower bound", "Upper bound", "R² of one teacher", "of their mean",
             "of infinitely many"]  # fmt: skip
    return Table("Noise ceiling of the all-atom forces", heads, rows)


def spread_table(data: ReportData) -> Table | None:
    """Disagreement of the teachers by source of the frames and bead type, over all distances."""
    table = data.tables.get("spread")
    if table is None or table.empty:
        return None
    own = table[(table["neighbour_type"] == "any") & table["r_low_A"].isna() & table["r_high_A"].isna()]
    rows = []
    for (_, label), part in own.groupby(["source", "label"], sort=False):
        by_type = part.set_index("bead_type")
        cells = [Cell(str(label))]
        for name in data.system.type_names:
            if name not in by_type.index:
                cells += [Cell(NOTHING), Cell(NOTHING)]
                continue
            one = by_type.loc[name]
            force, size = float(one["force_spread_kcal_mol_A"]), float(one["force_rms_kcal_mol_A"])
            share = percent(force / size) if size > 0 else NOTHING
            energy = float(one["epsilon_spread_kcal_mol"])
            cells += [Cell(number(force), force, (f"{share} of the force",)), Cell(number(energy), energy)]
        rows.append(Row(cells))
    heads = [f"{name}: {what}" for name in data.system.type_names for what in ("force (kcal/mol/Å)", "ε (kcal/mol)")]
    return Table("Disagreement of the teachers", ["Frames of", *heads], rows) if rows else None


def failures_table(data: ReportData) -> Table | None:
    """Networks whose training failed: left out of everything, or trained again."""
    rows = []
    for row in data.networks.itertuples():
        if row.status != NetworkStatus.EXCLUDED and not row.retries:
            continue
        left_out = row.status == NetworkStatus.EXCLUDED
        rows.append(
            Row([
                Cell(f"{row.label}, {row.member}"),
                Cell("excluded" if left_out else "used", tone="bad" if left_out else ""),
                Cell(str(int(row.retries)), float(row.retries)),
                Cell(number(row.learning_rate), float(row.learning_rate)),
                Cell(str(row.reason) if known(row.reason) and row.reason else NOTHING, wrap=True),
                Cell(str(row.failures) if known(row.failures) and row.failures else NOTHING, wrap=True),
            ], bad=left_out)
        )  # fmt: skip
    heads = ["Network", "It is", "Retries", "Learning rate at last", "Why excluded", "Failures"]
    return Table("Networks whose training failed", heads, rows, texts=True) if rows else None


def training_table(data: ReportData) -> Table:
    """R² and RMSE on the test frames by target, mean and standard deviation over the members of a variant."""
    own = data.training[(data.training["split"] == "test") & (data.training["bead_type"] == "all")]
    targets = [target for target in TARGETS.values() if (own["target"] == target.name).any()]
    rows = []
    for model in data.palette.models:
        part = own[own["variant"] == model.name]
        if part.empty:
            continue
        cells = [model_cell(model), Cell(str(part["member"].nunique()))]
        for target in targets:
            chosen = part[part["target"] == target.name]
            cells += [Cell(spread(chosen[name]), float(chosen[name].mean())) for name in ("r2", "rmse")]
        rows.append(Row(cells, data.palette.colour(model.name)))
    heads = ["Model", "Networks"]
    for target in targets:
        heads += [f"R² {target.symbol}", f"RMSE {target.symbol} ({target.unit_symbol})"]
    return Table("Errors on the test frames", heads, rows)
