# Config checked before any job is planned, names and helper functions for all rules.
import os
import sys
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError

WORKFLOW = Path(str(workflow.current_basedir)).resolve().parent
if not WORKFLOW.is_dir():
    # Library, schemas and templates are read from the same folder; Snakemake fetches rules and scripts only.
    raise WorkflowError(f"module: snakefile: found {workflow.current_basedir}, expected a Snakefile in a folder")
# The package need not be installed.
sys.path.insert(0, str(WORKFLOW / "lib"))
# Snakemake appends this path in jobs: without the variable, an installed package of another clone would be used.
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
from cgdistill.forcefield.registry import architecture_of
from cgdistill.io.text import read_yaml
from cgdistill.provenance.source.digest import source_digest
from cgdistill.report.captions import caption_values
from cgdistill.structure.spec import StructureSpec


def schema(name):
    """A closed schema of workflow/schemas."""
    return read_yaml(WORKFLOW / "schemas" / f"{name}.schema.yaml")


#: Whether another workflow, or a sweep, imports this one.
IS_MODULE = workflow.modifier.parent_modifier is not None
# What another cell of a sweep produces for this run too (cgdistill.config.sweep.shared_products); no key of users.
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


#: Threads, memory / MB, time / min and GPUs of a kind of job where a profile does not say otherwise.
JOBS = config["resources"]


def job_threads(kind):
    """Threads of a kind of job."""
    return JOBS[kind]["threads"]


def job_resources(kind, gpu=True):
    """Resources of a kind of job, perhaps without its GPU; memory and time grow with each attempt (`retries`)."""
    job = JOBS[kind]
    return {
        "mem_mb": lambda wildcards, attempt: job["mem_mb"] * attempt,
        "runtime": lambda wildcards, attempt: job["runtime_min"] * attempt,
        **({"gpu": job["gpu"]} if gpu and job["gpu"] else {}),
    }


#: What all models of the run are, and its module, which the library imports by name.
ARCHITECTURE = architecture_of(config["network"])
_ARCHITECTURE_MODULE = f"forcefield.{ARCHITECTURE.name.replace('-', '_')}.architecture"


def code_of(script, *modules, files=()):
    """Digest of what a script computes: Snakemake sees changes of the script, not of the library.

    `modules` are those of the library that are chosen by name at run time, `files` those that are read.
    """
    entries = [WORKFLOW / "scripts" / f"{script}.py", *modules]
    return source_digest(*entries, files=files, choices=[f"aa.{config['aa']['source']}", _ARCHITECTURE_MODULE])


RUN = config["run"]
RESULTS, LOGS, BENCH = (f"{top}/{RUN}" for top in ("results", "logs", "benchmarks"))


def producing_run(product):
    """Results of the run that makes a product that cells of a sweep share."""
    return f"results/{SHARED.get(product, RUN)}"


BEADS = f"{producing_run('beads')}/mapped/beads.h5"
SPLIT = f"{producing_run('split')}/mapped/split.json"
PRIOR = f"{producing_run('prior')}/prior/prior.csv"
#: Restarts and training checkpoints; Snakemake never deletes them.
CHECKPOINTS = f"{RESULTS}/checkpoints"
SEEDS = config["teachers"]["seeds"]
#: Folders of the teachers by name, and the names of those that this run trains.
TEACHERS = {
    name: f"results/{SHARED.get('teachers', {}).get(name, RUN)}/teachers/{name}" for name in names_of_teachers(SEEDS)
}
OWN_TEACHERS = [name for name in TEACHERS if name not in SHARED.get("teachers", {})]
#: Which of them are sound.
HEALTH = f"{RESULTS}/teachers/health.csv"
#: What counts as a failed training, of teachers and students alike.
FAILURES = {key: config["failures"][key] for key in ("max_loss_ratio", "retries", "retry_factor", "then")}
_VARIANTS = {variant.name: variant for variant in all_variants(len(SEEDS), students)}
VARIANTS = list(_VARIANTS)
LABELS = {name: variant.label for name, variant in _VARIANTS.items()}
KINDS = {name: variant.kind for name, variant in _VARIANTS.items()}
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
#: What determines a training, and a simulation.
TRAINING, SIMULATION = value_settings(config, "training"), value_settings(config, "simulation")
#: All teachers in one job, and all students of a variant that learn from one teacher each.
TOGETHER = config["training"]["together"]

#: Structure tables of a trajectory, and the names of those of the reference.
REFERENCE_FILES = {"curves": "reference"} | {name: f"reference_{name}" for name in ("blocks", "resolved", "series")}


wildcard_constraints:
    variant="|".join(VARIANTS),
    member=f"seed-[0-9]+|{ENSEMBLE}",
    teacher="seed-[0-9]+",


def members(variant):
    """Members of a variant: one per teacher, or the one ensemble."""
    return _VARIANTS[variant].members(list(TEACHERS))


def per_member(pattern, variants):
    """Paths of all members of variants, from a pattern with {variant} and {member}."""
    return [pattern.format(variant=variant, member=member) for variant in variants for member in members(variant)]


def n_replicas(variant):
    """Replicas of each member of a variant."""
    return config["simulation"]["replicas"][KINDS[variant]]


def run_folders(variant, member="{member}"):
    """Folders of the runs of a variant, or of one of its members."""
    return [
        f"{RESULTS}/simulations/{variant}/{name}/replica-{replica}"
        for name in (members(variant) if member == "{member}" else [member])
        for replica in range(1, n_replicas(variant) + 1)
    ]


def run_settings(variant, member):
    """What distinguishes the runs of a member from other runs, one mapping per replica."""
    names = members(variant)
    return [
        {
            "replica": replica,
            # The k-th run of every variant starts from the same frame: variants can be compared in pairs. More replicas
            # do not change the number of a run.
            "number": (replica - 1) * len(names) + names.index(member),
            "velocity_seed": derive(config["seed"], "velocities", variant, member, str(replica)),
        }
        for replica in range(1, n_replicas(variant) + 1)
    ]


def no_rerun(value):
    """A parameter whose changes rerun nothing; a function gets the wildcards.

    Snakemake does not compare parameters that it takes to follow from the output.
    """
    return lambda wildcards, output: value(wildcards) if callable(value) else value


def placed(path):
    """A path of this workflow after a module's `prefix`, for parameters that name files.

    Snakemake applies the prefix to files of rules only; the first of them shows what it is.
    """
    first = f"{RESULTS}/mapped/beads.h5"
    return str(rules.map_trajectory.output.beads).removesuffix(first) + path


def teacher_tasks(names):
    """What the trainings of teachers are called, and where their results go."""
    return [
        {
            "folder": placed(f"{RESULTS}/teachers/{name}"),
            "seed": derive(config["seed"], "teacher", name.removeprefix("seed-")),
            "checkpoint": placed(f"{CHECKPOINTS}/teachers/{name}.pt"),
        }
        for name in names
    ]


def student_tasks(variant, names):
    """What the trainings of members of a variant are called, and where their results go."""
    return [
        {
            "folder": placed(f"{RESULTS}/students/{variant}/{name}"),
            "seed": derive(config["seed"], "student", variant, name),
            "checkpoint": placed(f"{CHECKPOINTS}/students/{variant}/{name}.pt"),
        }
        for name in names
    ]


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
    """Digest of what draws the figures of a job."""
    modules = sorted({entry.module for entry in drawn_by(FIGURES, job)})
    return code_of(f"plot_{job}", *modules)


CARDS = per_member(f"{RESULTS}/models/{{variant}}/{{member}}/card.json", VARIANTS)


def final_products():
    """What the workflow is for: report, tables and figures, an exported folder of every model, and the manifest of all."""
    return [f"{RESULTS}/report.html", *CARDS, f"{RESULTS}/manifest.json"]
