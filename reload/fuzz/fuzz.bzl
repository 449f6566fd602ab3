"""`fuzzer`: one test that is a fuzzer with --config=fuzz, and runs its seeds once without."""

load("@rules_cc//cc:defs.bzl", "cc_test")

# Of each fuzzer in a `bazel test --config=fuzz`; by hand it runs for as long as it is told.
SECONDS = 20

def fuzzer(name, deps):
    """NAME.cc defines LLVMFuzzerTestOneInput; its seeds are in corpus/NAME."""
    seeds = native.glob(["corpus/" + name + "/*"])
    cc_test(
        name = name,
        size = "small",
        timeout = "moderate",
        srcs = [name + ".cc"] + select({
            ":fuzzing": [],
            "//conditions:default": ["run_seeds.cc"],
        }),
        args = [
            "-max_total_time=%d" % SECONDS,
            "-timeout=20",
            "-max_len=1000",
            "-print_final_stats=1",
            "-seed_inputs=" + ",".join(["$(location %s)" % seed for seed in seeds]),
        ],
        data = seeds,
        linkopts = select({
            ":fuzzing": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps + [":check"],
    )
