"""A lesson: its experiment as a library, the program that tells it, the test that checks it."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

# In the order to read them.
LESSONS = [
    "who_gets_it",
    "hangup",
    "safe_handler",
    "interrupted",
    "children",
    "inherited",
    "stop_politely",
    "realtime",
]

def lesson(name, deps = []):
    """Defines `name` (the program), `name_test` and the library that both share.

    Args:
      name: what the names of its source files begin with. NAME.cc is the experiment, NAME_told.cc the
        account of it; each file fits on a page.
      deps: what the experiment needs beside the stage.
    """
    cc_library(
        name = name + "_lesson",
        srcs = native.glob(
            [name + ".cc", name + "_*.cc"],
            exclude = [name + "_test.cc"],
        ),
        hdrs = native.glob([name + ".h", name + "_*.h"]),
        deps = deps + [
            ":stage",
            "//signals",
            "//third_party:fmt",
        ],
    )
    cc_binary(
        name = name,
        deps = [
            ":main",
            ":" + name + "_lesson",
        ],
    )
    cc_test(
        name = name + "_test",
        size = "small",
        srcs = [name + "_test.cc"],
        deps = [
            ":" + name + "_lesson",
            "//third_party:gtest",
        ],
    )
