"""peft reads the LoRA that Regraft stores, and Regraft what peft saves; skipped where peft is missing."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file

from regraft.hub import adapters, lora, nets

peft = pytest.importorskip("peft", reason="peft is no dependency: pip install peft runs these tests")

# its own library warns about its own library
pytestmark = pytest.mark.filterwarnings("ignore")

ARCHITECTURES = ["test_vit", "test_resnet", "test_efficientnet"]


@pytest.fixture(params=ARCHITECTURES)
def net(request):
    torch.manual_seed(0)
    return nets.build(request.param).eval()


def pictures(net):
    size = nets.input_spec(net).size
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def disturb(module):
    """Let an adapter have learned something."""
    random = torch.Generator().manual_seed(1)
    for name, parameter in sorted(module.named_parameters()):
        if "lora_B" in name:
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.1)


def test_peft_computes_with_a_stored_adapter_what_regraft_does(net, tmp_path):
    plain = copy.deepcopy(net)
    adapters.add(net, {"name": "lora", "rank": 3, "alpha": 5.0})
    disturb(net)
    state = adapters.state(net)

    config = peft.LoraConfig(**adapters.peft_config(state))
    theirs = peft.get_peft_model(plain.trunk, config)
    result = peft.set_peft_model_state_dict(theirs, state)

    with torch.no_grad():
        expected, before = nets.features(net, pictures(net)), plain.trunk.eval()
        found = theirs.eval()(pictures(net))
        with theirs.disable_adapter():
            unchanged = before(pictures(net))
    assert result.unexpected_keys == []
    assert len([name for name, _ in theirs.named_parameters() if "lora_" in name]) == len(state)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(unchanged, expected, atol=1e-3)


@pytest.mark.parametrize("options", [{"lora_alpha": 12}, {"lora_alpha": 5, "use_rslora": True}], ids=str)
def test_regraft_computes_with_an_adapter_that_peft_saved_what_peft_does(net, tmp_path, options):
    fresh = copy.deepcopy(net)
    before = nets.features(fresh, pictures(fresh))
    theirs = peft.get_peft_model(
        net.trunk, peft.LoraConfig(r=4, target_modules=sorted(lora.reachable(net)), **options)
    ).eval()
    disturb(theirs)
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())

    adapters.load(fresh, load_file(tmp_path / "adapter_model.safetensors"), config)

    with torch.no_grad():
        expected = theirs(pictures(fresh))
        found = nets.features(fresh, pictures(fresh))
    assert not torch.allclose(before, expected, atol=1e-3)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)
