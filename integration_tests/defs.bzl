"""`pytest_test`: a py_test whose files pytest runs, with the harness at hand."""

def pytest_test(name, srcs, deps = [], args = [], **kwargs):
    """Runs `srcs` with pytest and the fixtures of //integration_tests/harness.

    Programs that the tests start go into `data`; harness.runfiles finds them by their path in the
    workspace. `bazel test --test_filter=WORDS` is pytest's -k.
    """
    native.py_test(
        name = name,
        srcs = srcs + ["//integration_tests/harness:pytest_main.py"],
        main = "//integration_tests/harness:pytest_main.py",
        args = ["$(location %s)" % src for src in srcs] + args,
        deps = deps + ["//integration_tests/harness"],
        **kwargs
    )
