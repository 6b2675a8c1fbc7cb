# Config checked before any job is planned, names and helper functions for all rules.
import os
import sys
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.path_modifier import PathModifier

WORKFLOW = Path(str(workflow.current_basedir)).resolve().parent
if not WORKFLOW.is_dir():
    # Library, schemas and templates are read beside the rules; Snakemake fetches rules and scripts alone.
    raise WorkflowError(f"module: snakefile: found {workflow.current_basedir}, expected a Snakefile in a folder")
# Jobs started by `script:` inherit this path; the package need not be installed for them.
sys.path.insert(0, str(WORKFLOW / "lib"))
# They put it last: without the variable, the package of another clone that is installed would do the work.
if os.environ.get("PYTHONPATH", "").split(os.pathsep)[0] != sys.path[0]:
    os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH")])))

from cgdistill.config.check import check_config
from cgdistill.config.complete import complete_config, value_settings
from cgdistill.config.models import models_in_order
from cgdistill.config.students import read_students
from cgdistill.config.validate import validate
from cgdistill.config.variants import all_variants
from cgdistill.config.variants import teacher_names as names_of_teachers
from cgdistill.core.errors import InputError
from cgdistill.core.seeds import derive
from cgdistill.core.vocabulary import ENSEMBLE, ModelKind
from cgdistill.data.mapping_rules import MappingRules
from cgdistill.figures.catalogue import box_variants, catalogue, drawn_by
from cgdistill.io.text import read_yaml
from cgdistill.provenance.record import sha256_of
from cgdistill.provenance.source_digest import source_digest
from cgdistill.report.captions import caption_values
from cgdistill.structure.spec import StructureSpec


def schema(name):
    """A closed schema of workflow/schemas."""
    return read_yaml(WORKFLOW / "schemas" / f"{name}.schema.yaml")


#: Whether another workflow, or a sweep, imports this one.
IS_MODULE = workflow.modifier.parent_modifier is not None
# What another cell of a sweep makes for this run too (cgdistill.sweep.shared_products); no key of users.
SHARED = config.pop("shared", {}) if IS_MODULE else {}
try:
    # Snakemake takes the last of two equal keys. The files of a workflow that imports this one are its own.
    for file in [] if IS_MODULE else workflow.configfiles:
        read_yaml(file)
    _complete = complete_config(config)
    students = read_students(_complete["students"]["table"])
    mapping = read_yaml(_complete["mapping"]["file"])
    validate(mapping, schema("mapping"), _complete["mapping"]["file"])
    _types = MappingRules.from_dict(mapping, _complete["mapping"]["file"]).types
    _complete = complete_config(_complete, _types)
    check_config(_complete, _types)
    STRUCTURE = StructureSpec.from_config(_complete["structure"])
except InputError as error:
    raise WorkflowError(str(error)) from None
# What was given, without unused sections and with all defaults.
config.clear()
config.update(_complete)


def asked_for(threads, mem_mb, runtime_min, gpu):
    """What a kind of job asks for; memory and time grow with each attempt (`retries`).

    A GPU is `gpu`, or `gres` where a profile's default resources say its name in Slurm's --gres: `gpu_gres`.
    """
    # Of a resource that is not there, Snakemake's default resources give one without a value.
    name = getattr((workflow.resource_settings.default_resources or {}).get("gpu_gres"), "raw", None)
    as_gres = name is not None and gpu > 0
    return {
        "threads": threads,
        "mem_mb": lambda wildcards, attempt: mem_mb * attempt,
        "runtime_min": lambda wildcards, attempt: runtime_min * attempt,
        "gpu": 0 if as_gres else gpu,
        "gres": f"{name}:{gpu}" if as_gres else None,
    }


RUN = config["run"]
# A module's `prefix` would reach files of rules but not parameters that name them, and files named by the config too.
# It is applied here to all that this workflow makes, and to nothing else.
_place = workflow.modifier.path_modifier.replace_prefix
RESULTS, LOGS, BENCH = (_place(f"{top}/{RUN}") for top in ("results", "logs", "benchmarks"))
workflow.modifier.path_modifier = PathModifier(None, None, workflow)


def results_of(run):
    """Results of another run."""
    return _place(f"results/{run}")


def maker(product):
    """Results of the run that makes a product that cells of a sweep share."""
    return results_of(SHARED.get(product, RUN))


BEADS = f"{maker('beads')}/mapped/beads.h5"
SPLIT = f"{maker('split')}/mapped/split.json"
PRIOR = f"{maker('prior')}/prior/prior.csv"
#: Restarts and training checkpoints; Snakemake never deletes them.
CHECKPOINTS = f"{RESULTS}/checkpoints"
SEEDS = config["teachers"]["seeds"]
#: Folders of the teachers by name.
TEACHERS = {
    name: f"{results_of(SHARED.get('teachers', {}).get(name, RUN))}/teachers/{name}"
    for name in names_of_teachers(SEEDS)
}
#: Which of them are sound.
HEALTH = f"{RESULTS}/teachers/health.csv"
#: What counts as a failed training, of teachers and students alike.
FAILURES = {key: config["failures"][key] for key in ("max_loss_ratio", "retries", "retry_factor", "then")}
_VARIANTS = {variant.name: variant for variant in all_variants(len(SEEDS), students)}
VARIANTS = list(_VARIANTS)
LABELS = {name: variant.label for name, variant in _VARIANTS.items()}
KINDS = {name: variant.kind for name, variant in _VARIANTS.items()}
JOBS = {kind: asked_for(**job) for kind, job in config["resources"].items()}
#: What figures and page call the models.
MODELS = {"names": VARIANTS, "labels": LABELS, "kinds": KINDS}
FIGURES = catalogue(models_in_order(**MODELS), students, STRUCTURE, config["pictures"])
#: What determines the list of figures, for the jobs that draw them (cgdistill.figures.catalogue.catalogue_of).
FIGURE_SETTINGS = {
    "students": [asdict(student) for student in students],
    "structure": config["structure"],
    "pictures": config["pictures"],
}
BOX_VARIANTS = box_variants(models_in_order(**MODELS), students)
#: Values that captions of figures show.
CAPTIONS = caption_values(config)
#: What determines a simulation.
SIMULATION = value_settings(config, "simulation")

#: Structure tables of a trajectory, and the names of those of the reference.
REFERENCE_FILES = {"curves": "reference"} | {name: f"reference_{name}" for name in ("blocks", "resolved", "series")}


wildcard_constraints:
    variant="|".join(VARIANTS),
    member=f"seed-[0-9]+|{ENSEMBLE}",


def chunks(items, size):
    """Items in order, cut into lists of at most `size`."""
    items = list(items)
    return [items[start : start + size] for start in range(0, len(items), size)]


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


CARDS = [f"{RESULTS}/models/{variant}/{member}/card.json" for variant in VARIANTS for member in members(variant)]


def simulation_jobs():
    """Variant, number and runs (as of `runs_of`) of every job that simulates."""
    for variant in VARIANTS:
        for number, runs in enumerate(chunks(runs_of(variant), config["simulation"]["runs_per_job"]), start=1):
            yield variant, number, runs


def first_runs(variant):
    """Number of the first run of each member among the runs of a variant."""
    return {member: place * n_replicas(variant) for place, member in enumerate(members(variant))}


def run_of(folder):
    """What tells a run from the others, from its folder (as of `runs_of`)."""
    variant, member, name = folder.split("/")
    replica = name.removeprefix("replica-")
    return {
        "variant": variant,
        "member": member,
        "replica": int(replica),
        # The k-th run of every variant starts from the same frame: variants can be compared in pairs.
        "number": first_runs(variant)[member] + int(replica) - 1,
        "velocity_seed": derive(config["seed"], "velocities", variant, member, replica),
        "out_dir": f"{RESULTS}/simulations/{folder}",
        "checkpoint_dir": f"{CHECKPOINTS}/simulations/{folder}",
    }


def not_compared(value):
    """A parameter whose changes rerun nothing: Snakemake takes it to follow from the output."""
    return lambda wildcards, output: value


def networks_of(variant, member):
    """Folders of the trained networks that a model is made of."""
    kind = KINDS[variant]
    if kind == ModelKind.TEACHER:
        return [TEACHERS[member]]
    if kind == ModelKind.TEACHER_ENSEMBLE:
        return list(TEACHERS.values())
    return [f"{RESULTS}/students/{variant}/{member}"]


def teacher_predictions(member):
    """Predictions that a student learns from."""
    return f"{RESULTS}/teachers/mean.h5" if member == ENSEMBLE else f"{TEACHERS[member]}/predictions.h5"


def table(stem, label):
    """A table of the whole run, also in Snakemake's report."""
    details = {"caption": "../report/tables.rst", "category": "Tables", "labels": {"table": label}}
    return report(f"{RESULTS}/tables/{stem}.csv", **details)


def figures(job):
    """SVG and PNG of all figures that a job draws; the SVGs go into Snakemake's report."""
    files = []
    for entry in drawn_by(FIGURES, job):
        details = {"caption": f"../report/{entry.caption}.rst", "category": entry.category, "labels": entry.labels}
        if entry.subcategory:
            details["subcategory"] = entry.subcategory
        path = f"{RESULTS}/figures/{entry.stem}"
        files += [report(f"{path}.svg", **details), f"{path}.png"]
    return files


def figure_code(job):
    """Digests of what draws the figures of a job."""
    modules = sorted({entry.module for entry in drawn_by(FIGURES, job)})
    return [source_digest(module) for module in ("figures.draw", *modules)]


def final_products():
    """What the workflow is for: report, tables and figures, an exported folder of every model, and the manifest of all."""
    return [f"{RESULTS}/report.html", *CARDS, f"{RESULTS}/manifest.json"]
