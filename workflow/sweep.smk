# A sweep: every row of a table is a run of its own, with some values of the config replaced (docs/sweeps.md).
# snakemake --cores 2 --configfile base.yaml --config sweep=config/sweeps/network.tsv
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.19")

if not workflow.config_settings.configfiles:

    configfile: "config/config.yaml"


WORKFLOW = Path(str(workflow.current_basedir)).resolve()
sys.path.insert(0, str(WORKFLOW / "lib"))

from cgdistill.config.complete import complete_config
from cgdistill.config.sweep import common_config, read_sweep, shared_products, study_name
from cgdistill.core.errors import InputError
from cgdistill.provenance.source.digest import source_digest

SWEEP = config["sweep"]
_given = {key: value for key, value in config.items() if key != "sweep"}
try:
    # The base first: a cell's faults are those of its row.
    BASE = complete_config(_given)
    CELLS = read_sweep(SWEEP, _given)
except InputError as error:
    raise WorkflowError(str(error)) from None
STUDY = f"results/{study_name(SWEEP, BASE)}"

for cell, shared in zip(CELLS, shared_products([cell.config for cell in CELLS]), strict=True):
    cell_name = f"cell_{cell.name}"
    cell_name_ = f"{cell_name}_"

    module:
        name: cell_name
        snakefile:
            "Snakefile"
        config:
            cell.config | {"shared": shared}

    use rule * from cell_name as cell_name_*


include: "rules/container.smk"
include: "rules/study.smk"


rule all:
    default_target: True
    input:
        rules.compare_cells.output.page,
        [f"{STUDY}/{cell.name}/manifest.json" for cell in CELLS],
