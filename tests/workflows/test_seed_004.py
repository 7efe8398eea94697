"""Notes on fine-tuning after Dive into Deep Learning: their own code, cell by cell, and our guide to it.

What is changed in the notes' code stands in `SUBSTITUTIONS`.
"""

import ast
import copy
import hashlib
import io
import os
import re
import shlex
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner

from regraft.cli.main import cli
from regraft.hub import builders
from regraft.hub.sources.torchvision_hub import get_model_weights

pytest_plugins = ["tests.faults.web"]

SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "d2l.md"
SVG = "{http://www.w3.org/2000/svg}"
NUMBER = r"\d+\.\d{3}"

#: Stands where the notes leave their imports out.
IMPORT = "from regraft.dialects.d2l import *"
#: Weights as the guide says; the second makes a test of minutes one of seconds.
SUBSTITUTIONS = (
    ("torchvision.models.resnet18(pretrained=True)", 'd2l.pretrained("resnet18")'),
    ("batch_size=128, num_epochs=5", "batch_size=4, num_epochs=2"),
)


def run_cell(code, names):
    """Do what a notebook does with a cell; return what its last line is."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def zipped(pictures):
    """Pack pictures, by their path, as the book's archive is packed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in pictures.items():
            archive.writestr(f"hotdog/{path}", data)
    return buffer.getvalue()


def drawn(path):
    """Return how many points each line of a drawing has, from the first line to the last."""
    return [len(line.get("points").split()) for line in ElementTree.parse(path).iter(f"{SVG}polyline")]


@pytest.fixture
def notes():
    """The code of the notes, cell by cell, and all of their text."""
    found = sorted(SEEDS.glob("004_*.md"))
    if not found:
        pytest.skip(f"the notes are not there: {SEEDS}/004_*.md")
    text = found[0].read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL), text


@pytest.fixture
def served_weights(web, monkeypatch, tmp_path):
    """Weights of a ResNet-18 that were made up here, where torchvision's are asked for."""
    torch.manual_seed(0)
    net = builders.build("torchvision:resnet18", in_channels=3, drop_path=0.0).net
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    body = (tmp_path / "weights.pth").read_bytes()
    path = f"/models/resnet18-{hashlib.sha256(body).hexdigest()[:8]}.pth"
    published = get_model_weights("resnet18").IMAGENET1K_V1.value
    monkeypatch.setattr(published, "url", f"https://download.pytorch.org{path}")
    monkeypatch.setenv("REGRAFT_MIRROR", web.address)
    web.serve(path, body)
    return net.state_dict()


@pytest.fixture
def names(monkeypatch, tmp_path, one_thread):
    """What a notebook knows after its first cell."""
    monkeypatch.chdir(tmp_path)
    known = {}
    exec(IMPORT, known)
    monkeypatch.setattr(known["d2l"], "DATA_HUB", dict(known["d2l"].DATA_HUB))
    torch.manual_seed(0)
    return known


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_code_of_the_notes_runs_cell_by_cell_with_weights_that_were_made_up_and_few_pictures(
    notes, names, web, served_weights, shared_data, monkeypatch, capsys
):
    cells, text = notes
    archive = zipped(
        {
            f"{split}/{label}/{path.name}": path.read_bytes()
            for split, each in (("train", 8), ("test", 4))
            for label in ("hotdog", "not-hotdog")
            for path in sorted((shared_data / "hotdog" / split / label).iterdir())[:each]
        }
    )
    [sha1] = set(re.findall(r"'([0-9a-f]{40})'", text))
    web.serve("/hotdog.zip", archive)
    monkeypatch.setattr(names["d2l"], "DATA_URL", f"{web.address}/")

    values = []
    for cell in cells:
        code = cell.replace(sha1, hashlib.sha1(archive).hexdigest())
        for old, new in SUBSTITUTIONS:
            code = code.replace(old, new)
        values.append(run_cell(code, names))

    sheet, layer = values[0], values[2]
    assert (str(sheet), sheet.svg.count("<image ")) == ("16 pictures", 16)
    assert f"# {layer}\n" in text  # Linear(in_features=512, out_features=1000, bias=True)
    assert torch.equal(names["pretrained_net"].conv1.weight, served_weights["conv1.weight"])
    assert not torch.equal(names["finetune_net"].conv1.weight, served_weights["conv1.weight"])
    said = capsys.readouterr().out.splitlines()
    assert said[2:4] == [
        "reduction='None' is taken for 'none', a loss for each picture; torch itself refuses it.",
        "The 4 losses of a batch are summed. With their mean the same steps need rate 0.0002 in place of "
        "5e-05, rate 0.002 in place of 0.0005, weight decay 0.00025 in place of 0.001.",
    ]
    [shown] = re.findall(r"# (loss .*)\n# (.* examples/sec on )", text)
    assert [re.sub(r"[\d.]+", "0", line) for line in said[-3:-1]] == [
        re.sub(r"[\d.]+", "0", shown[0]),
        re.sub(r"[\d.]+", "0", shown[1]) + "[device(type='cpu')]",
    ]
    path = said[-1].removeprefix("The curves are drawn in ")
    assert drawn(path) == [8, 8, 2]  # four batches an epoch, which the book's own code divides by zero with


@pytest.fixture
def hotdog(draw, encoded):
    """Pictures in folders as the book's, few and drawn, by their path."""
    return {
        f"{split}/{label}/{n}.png": encoded(draw(7 * n + len(split + label)), "PNG")
        for split, each in (("train", 8), ("test", 4))
        for label in ("hotdog", "not-hotdog")
        for n in range(each)
    }


def test_the_same_way_of_working_runs_everywhere_as_the_guide_has_it_with_a_tiny_net(
    names, web, hotdog, tmp_path, monkeypatch, capsys
):
    archive = zipped(hotdog)
    url = web.serve("/hotdog.zip", archive)
    names["d2l"].DATA_HUB["hotdog"] = url, hashlib.sha1(archive).hexdigest()
    tiny = builders.build("test_resnet", in_channels=3, drop_path=0.0)
    for place, name in ((names["d2l"], "pretrained"), (names["torchvision"].models, "resnet18")):
        monkeypatch.setattr(place, name, lambda *_: copy.deepcopy(tiny.net))
    cells = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)

    for cell in cells:
        run_cell(cell, names)

    assert len(cells) == 5
    assert (tmp_path / "pictures.svg").read_text().count("<image ") == 16
    assert drawn(tmp_path / "curve.svg") == drawn(tmp_path / "scratch.svg") == [5, 5, 5]
    moved = {
        name.partition(".")[0]
        for name, tensor in names["net"].state_dict().items()
        if name not in ("fc.weight", "fc.bias") and not torch.equal(tensor, tiny.net.state_dict()[name])
    }
    assert moved == {"layer3", "layer4"}
    said = capsys.readouterr().out
    assert "{'hotdog': 'hotdog, hot dog, red hot'}\n" in said
    assert said.count("need rate 0.0008 in place of 5e-05, rate 0.008 in place of 0.0005, weight decay") == 2
    assert said.count("need rate 0.008 in place of 0.0005, weight decay 6.25e-05 in place of 0.001.\n") == 1
    ends = rf"loss {NUMBER}, train acc {NUMBER}, test acc {NUMBER}\n[\d.]+ examples/sec on \[device\("
    assert len(re.findall(ends, said)) == 3


def test_what_the_notes_advise_is_a_setting_each_with_a_net_that_is_at_hand(
    hotdog, tmp_path, monkeypatch, one_thread
):
    monkeypatch.chdir(tmp_path)
    for name, data in hotdog.items():
        (tmp_path / "hotdog" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hotdog" / name).write_bytes(data)
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    small = "--model embedded:efficientnet_lite0 --epochs 1 --set data.size=32"
    exact = "--set train.precision=exact --set eval.precision=exact"

    said = []
    for line in blocks[1].splitlines()[:2]:
        words = shlex.split(f"{line} {small} {exact}")[1:]
        result = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        said.append(result.output)

    assert [re.search(r"tuned +(.*)\n", words)[1] for words in said] == [
        f"{strategy}, 1 epoch, epoch 1 taken" for strategy in ("full", "partial")
    ]
    logs = "".join(path.read_text() for path in Path(os.environ["REGRAFT_HOME"]).glob("runs/*/log.txt"))
    assert logs.count("Class 'hotdog' begins as 'hotdog, hot dog, red hot' (#934).") == 1


def test_the_guide_names_what_takes_the_place_of_what():
    guide = GUIDE.read_text(encoding="utf-8")

    missing = [words for words in (IMPORT, *SUBSTITUTIONS[0]) if words not in guide]

    assert missing == []
