# Config checked before any job is planned, names and helper functions for all rules.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

WORKFLOW = Path(str(workflow.current_basedir)).resolve().parent
# Jobs started by `script:` inherit this path; the package need not be installed for them.
sys.path.insert(0, str(WORKFLOW / "lib"))

from cgdistill.config import check_config, read_students, read_yaml, sorted_keys, validate
from cgdistill.errors import InputError
from cgdistill.mapping_rules import MappingRules
from cgdistill.provenance import sha256_of, source_digest
from cgdistill.seeds import derive
from cgdistill.variants import ENSEMBLE, all_variants
from cgdistill.variants import teacher_names as names_of_teachers


def schema(name):
    """A closed schema of workflow/schemas."""
    return read_yaml(WORKFLOW / "schemas" / f"{name}.schema.yaml")


try:
    validate(config, schema("config"), "config")
    students = read_students(config["students"]["table"], schema("students"))
    mapping = read_yaml(config["mapping"]["file"])
    validate(mapping, schema("mapping"), config["mapping"]["file"])
    check_config(config, MappingRules.from_dict(mapping, config["mapping"]["file"]).types)
except InputError as error:
    raise WorkflowError(str(error)) from None
config.update(sorted_keys(config))

RUN = config["run"]
RESULTS, LOGS, BENCH = (f"{top}/{RUN}" for top in ("results", "logs", "benchmarks"))
#: Restarts and training checkpoints; Snakemake never deletes them.
CHECKPOINTS = f"{RESULTS}/checkpoints"
FIGURES = f"{RESULTS}/figures"
SEEDS = config["teachers"]["seeds"]
_VARIANTS = {variant.name: variant for variant in all_variants(len(SEEDS), students)}
VARIANTS = list(_VARIANTS)
LABELS = {name: variant.label for name, variant in _VARIANTS.items()}
KINDS = {name: variant.kind for name, variant in _VARIANTS.items()}
JOBS = config["resources"]


wildcard_constraints:
    seed="|".join(map(str, SEEDS)),
    variant="|".join(VARIANTS),
    student="|".join(variant.name for variant in students),
    member=f"seed-[0-9]+|{ENSEMBLE}",
    replica="[0-9]+",


def teacher_names():
    """Names of the teachers' folders."""
    return names_of_teachers(SEEDS)


def members(variant):
    """Members of a variant: one per teacher, or the one ensemble."""
    return _VARIANTS[variant].members(teacher_names())


def n_replicas(variant):
    """Replicas of each member of a variant."""
    return config["simulation"]["replicas"][KINDS[variant]]


def runs_of(variant):
    """Folders of the runs of a variant below `simulations`."""
    return [
        f"{variant}/{member}/replica-{replica}"
        for member in members(variant)
        for replica in range(1, n_replicas(variant) + 1)
    ]


def networks_of(variant, member):
    """Folders of the trained networks that a model is made of."""
    kind = KINDS[variant]
    if kind == "teacher":
        return [f"{RESULTS}/teachers/{member}"]
    if kind == "teacher_ensemble":
        return [f"{RESULTS}/teachers/{name}" for name in teacher_names()]
    return [f"{RESULTS}/students/{variant}/{member}"]


def teacher_predictions(wildcards):
    """Predictions that a student learns from."""
    name = "mean.h5" if wildcards.member == ENSEMBLE else f"{wildcards.member}/predictions.h5"
    return f"{RESULTS}/teachers/{name}"


def figure(stem, caption, category, subcategory="", **labels):
    """SVG and PNG of a figure; the SVG goes into Snakemake's report."""
    details = {"caption": f"../report/{caption}.rst", "category": category, "labels": labels}
    if subcategory:
        details["subcategory"] = subcategory
    return [report(f"{FIGURES}/{stem}.svg", **details), f"{FIGURES}/{stem}.png"]


def final_products():
    """What the workflow is for: report, tables and figures, and an exported folder of every model."""
    models = [f"{RESULTS}/models/{variant}/{member}/card.json" for variant in VARIANTS for member in members(variant)]
    return [f"{RESULTS}/report.html", *models]
