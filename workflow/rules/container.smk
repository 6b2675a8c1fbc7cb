# `--sdm apptainer`: all jobs run in one image, a file or a link to one (docs/environments.md). Included before any rule.
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
    _IMAGE = Path(str(workflow.current_basedir)).resolve().parents[1] / "envs" / "cgdistill.sif"
    if not _IMAGE.exists():
        raise WorkflowError(f"{_IMAGE}: file: found nothing, expected an image or a link to one (docs/environments.md)")

    container: str(_IMAGE)
