"""The failpoints in the sources are those of the documentation, and each of them is met."""

import ast
import re
from itertools import chain
from pathlib import Path

from tests.faults.worker import picture

from regraft import durable
from regraft.progress import silent
from regraft.store.fetch import Downloads, remote
from regraft.store.journal import Journal

pytest_plugins = ["tests.faults.web"]

TOP = Path(__file__).parents[2]
STAGE = re.compile(r"\.(write|flush|publish|published)$")
#: What functions of `durable` are called where a caller says nothing, and one of buckets only.
UNNAMED = {"append", "confirm", "grow", "publish", "put", "stream", "swap", "tree", "probe"}


def declared():
    """Return the stems in the sources: `point="..."`, a default of `point`, and `failpoint("...")`."""
    found = set()
    for path in (TOP / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                named = [keyword.value for keyword in node.keywords if keyword.arg == "point"]
                called = ast.unparse(node.func).rpartition(".")[2]
                named += node.args if called == "failpoint" else []
                found |= {value.value for value in named if isinstance(value, ast.Constant)}
            if isinstance(node, ast.FunctionDef):
                pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                found |= {value.value for name, value in pairs if name.arg == "point" and value is not None}
    return found


def test_the_documentation_names_every_failpoint():
    text = (TOP / "docs" / "architecture.md").read_text()
    section = text.partition("## Failpoints")[2].partition("\n## ")[0]
    points = section.replace("\n", " ").partition("for the stems")[2]

    documented = {STAGE.sub("", name) for name in re.findall(r"`([a-z][a-z.]+)`", points)}

    assert documented == declared()


def test_every_failpoint_is_met(all_scenes, run, tmp_path, make_folder, web, monkeypatch):
    ends = []
    for scene in all_scenes.values():
        ends.append(run(*scene.words(scene.begin())))
    root = all_scenes["second version"].begin()
    for name in ("out.zip", "out", "out.regraft"):
        ends.append(run("dataset", "export", "photos", tmp_path / name, "--workspace", root))
    ends.append(run("dataset", "show", "photos", "--workspace", root))
    photos = make_folder({"cat": 6, "dog": 6}, name="few")
    ends.append(run("finetune", photos, "--workspace", root))
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "nothing")
    monkeypatch.setattr(durable, "_passages", passed := type(durable._passages)())
    body = picture("a") * 100
    Downloads(tmp_path / "downloads").fetch(
        remote(web.serve("/data.bin", body, web.cut(100), etag='"1"')), silent
    )
    cut_off = Journal(tmp_path / "runs").create("finetune", inputs={}, recipe={})
    cut_off.checkpoints().put(1, body)
    cut_off.end("interrupted")
    cut_off.reopen()

    met = {STAGE.sub("", point) for point in chain(passed, *(ended.passages for ended in ends))}

    assert [ended for ended in ends if ended.status] == []
    assert met - UNNAMED == declared() - UNNAMED
