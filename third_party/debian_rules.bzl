"""Makes Debian's Bazel rules usable by Debian's Bazel, offline."""

def _debian_rules_cc_impl(ctx):
    # Debian's rules_cc is newer than its Bazel 4.2.3: two files load `use_cpp_toolchain`, which
    # this Bazel's @bazel_tools does not have. They get the older spelling; the rest is linked.
    source = ctx.path("/usr/share/bazel/rules/cc")
    if not source.exists:
        fail("%s is missing: run ./setup" % source)
    result = ctx.execute(["cp", "-r", "--no-preserve=mode,ownership", str(source) + "/.", "."])
    if result.return_code != 0:
        fail("cannot copy %s: %s" % (source, result.stderr))
    for name in ["compiler_flag.bzl", "cc_flags_supplier.bzl"]:
        path = "cc/private/rules_impl/" + name
        text = ctx.read(path)
        text = text.replace(", \"use_cpp_toolchain\"", "")
        text = text.replace("use_cpp_toolchain()", "[\"@bazel_tools//tools/cpp:toolchain_type\"]")
        ctx.file(path, text, executable = False)

debian_rules_cc = repository_rule(implementation = _debian_rules_cc_impl, local = True)

def _no_coverage_tools_impl(ctx):
    # `bazel test` resolves this label even when nobody asks for coverage.
    ctx.file("BUILD", "filegroup(name = \"coverage_report_generator\", visibility = [\"//visibility:public\"])\n")

no_coverage_tools = repository_rule(implementation = _no_coverage_tools_impl)
