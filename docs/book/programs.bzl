"""`programs`: which file `bazel run LABEL` runs, for shells where no Bazel can run."""

def _programs_impl(ctx):
    table = {}
    runfiles = ctx.runfiles()
    for target, words in ctx.attr.programs.items():
        label, _, arguments = words.partition(" ")
        files = target[DefaultInfo]
        table[label] = [files.files_to_run.executable.short_path] + [
            word
            for word in arguments.split(" ")
            if word
        ]
        runfiles = runfiles.merge(files.default_runfiles)
        runfiles = runfiles.merge(ctx.runfiles([files.files_to_run.executable]))
    out = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(out, struct(exempt = ctx.attr.exempt, programs = table).to_json())
    return [DefaultInfo(
        files = depset([out]),
        runfiles = runfiles.merge(ctx.runfiles([out])),
    )]

_programs = rule(
    implementation = _programs_impl,
    attrs = {
        "exempt": attr.string_dict(mandatory = True),
        "programs": attr.label_keyed_string_dict(mandatory = True),
    },
)

def programs(name, labels, exempt, arguments = {}):
    """Writes NAME.json.

    Args:
      name: of the target.
      labels: as a reader types them.
      exempt: programs that no chapter is about, and why.
      arguments: what the target's own `args` put first, by label.
    """
    _programs(
        name = name,
        exempt = exempt,
        programs = {label: label + " " + arguments.get(label, "") for label in labels},
    )
