"""`bazel build --config=clang-tidy //...`: clang-tidy(1) on each .cc file, as .clang-tidy says."""

load("@rules_cc//cc:defs.bzl", "CcInfo")

def _tidy(ctx, source, headers, flags):
    report = ctx.actions.declare_file("clang-tidy/%s/%s.txt" % (ctx.label.name, source.basename))
    ctx.actions.run_shell(
        mnemonic = "ClangTidy",
        progress_message = "clang-tidy %s" % source.short_path,
        inputs = depset([source, ctx.file._config], transitive = [headers]),
        outputs = [report],
        # Silent when it finds nothing: "N warnings generated" counts those of other people's headers.
        command = 'clang-tidy --quiet --config-file="$1" "$2" -- "${@:4}" >"$3" 2>&1 || ' +
                  '{ cat "$3" >&2; exit 1; }',
        arguments = [ctx.file._config.path, source.path, report.path] + flags,
    )
    return report

def _clang_tidy_impl(target, ctx):
    if not ctx.rule.kind.startswith("cc_") or ctx.label.workspace_name:
        return []
    attr = ctx.rule.attr
    sources = [file for each in attr.srcs for file in each.files.to_list()]
    contexts = [dep[CcInfo].compilation_context for dep in attr.deps if CcInfo in dep]
    own = [file for each in getattr(attr, "hdrs", []) for file in each.files.to_list()]
    headers = depset(
        own + [file for file in sources if file.extension == "h"],
        transitive = [context.headers for context in contexts],
    )
    flags = ["-iquote", "."] + ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts + attr.copts
    flags += ["-D" + define for context in contexts for define in context.defines.to_list()]
    # As a shell would take them: \" is a quotation mark.
    flags += ["-D" + define.replace("\\\"", "\"") for define in attr.defines + attr.local_defines]
    reports = [_tidy(ctx, file, headers, flags) for file in sources if file.extension == "cc"]
    return [OutputGroupInfo(clang_tidy = depset(reports))]

clang_tidy = aspect(
    implementation = _clang_tidy_impl,
    attrs = {"_config": attr.label(default = "//:.clang-tidy", allow_single_file = True)},
    fragments = ["cpp"],
)
