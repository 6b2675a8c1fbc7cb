# Entry point at the root: workflow/Snakefile, or workflow/sweep.smk where a sweep is named (--config sweep=TABLE).
include: "workflow/sweep.smk" if "sweep" in config else "workflow/Snakefile"


# An include resets the default target.
rule default:
    default_target: True
    input:
        rules.all.input,
