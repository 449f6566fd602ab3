"""A check of one's own: `--checks integration_tests/check/examples` runs it with the others."""

from integration_tests.check.checks import Verdict, check, judge
from integration_tests.check.run import Run
from integration_tests.check.target import get


@check(
    "answers.same",
    title="A reload does not change the answer",
    why="Workers that read another configuration than the old ones did answer something else.",
    needs=["reload"],
)
def answers_same(run: Run) -> Verdict:
    run.server()
    before = get(run.spec.url)
    reload = run.reload()
    after = get(run.spec.url)
    same = before and after and before.body == after.body
    return judge(
        bool(same),
        f"{before and before.body[:40]!r}, and {after and after.body[:40]!r} after the reload",
        reload_seconds=round(reload.end - reload.begin, 3),
    )
