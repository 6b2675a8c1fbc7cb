# Entry point at the root; the workflow itself is workflow/Snakefile.
include: "workflow/Snakefile"


# An include resets the default target.
rule default:
    default_target: True
    input:
        rules.all.input,
