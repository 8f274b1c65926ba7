"""The ways to inherit: one TOML in configs/ each, what its keys mean, and the VLM prepared accordingly."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from torch import nn

from expert import ExpertConfig
from loop import Refused

CONFIGS = Path(__file__).resolve().parent / "configs"
# What LoRA adapts: every linear layer of the transformers.
LORA_TARGETS = r".*\.layers\.\d+\.(attention\.(q|k|v|out)|up|down)"


@dataclass
class Way:
    """`vlm`: "all" is trained with the expert, "lora" is adapted, "fusion" leaves vision and words as they are, "none" everything."""

    name: str = ""
    title: str = ""
    robot: str = "wx250s"  # a file of robots/
    prior: bool = True
    vlm: str = "all"
    vlm_rate: float = 0.4  # of the expert's learning rate
    lora_rank: int = 16
    cotrain: float = 0.0  # weight of the VLM's own objectives
    insulate: bool = False  # the expert's gradient stops before the VLM, which learns from discrete tokens beside it
    robot_first: bool = False  # starts from a policy pre-trained on other robot data
    expert: ExpertConfig = field(default_factory=ExpertConfig)

    @property
    def vision_frozen(self):
        """Whether what the VLM sees in a frame never changes, so that it is computed once."""
        return self.vlm in ("fusion", "none")


def load_way(name):
    """configs/NAME.toml, every key checked."""
    path = CONFIGS / f"{name}.toml"
    if not path.exists():
        raise Refused(f"{path}: no such way; there are {', '.join(sorted(p.stem for p in CONFIGS.glob('*.toml')))}")
    values = tomllib.loads(path.read_text())
    expert = values.pop("expert", {})
    for given, kind, where in ((values, Way, "at the top"), (expert, ExpertConfig, "in [expert]")):
        known = {f.name for f in fields(kind)}
        if unknown := set(given) - known:
            raise Refused(f"{path}: {', '.join(sorted(unknown))} {where}: known are {', '.join(sorted(known))}")
    way = Way(**(values | {"name": name}), expert=ExpertConfig(**expert))
    if way.vlm not in ("all", "lora", "fusion", "none"):
        raise Refused(f"{path}: vlm = {way.vlm!r}: take all, lora, fusion or none")
    return way


def prepare_vlm(way, vlm):
    """Marks what of the VLM is trained; returns those parameters. Batch statistics stay the prior's."""
    for p in vlm.parameters():
        p.requires_grad_(way.vlm == "all")
    for p in vlm.fusion.parameters():
        p.requires_grad_(way.vlm in ("all", "fusion"))
    if way.vlm == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        inject_adapter_in_model(LoraConfig(r=way.lora_rank, lora_alpha=2 * way.lora_rank, target_modules=LORA_TARGETS, lora_dropout=0.0), vlm)
    return [p for p in vlm.parameters() if p.requires_grad]


def fold_lora(vlm):
    """Adapters added into the layers they adapt: the architecture is the prior's again."""
    from peft.tuners.lora import LoraLayer

    for module in list(vlm.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(module, name, child.get_base_layer())
    return vlm


class FrozenNorms(nn.Module):
    """Keeps every BatchNorm inside in evaluation mode, whatever mode is asked for."""

    def train(self, mode=True):
        super().train(mode)
        for m in self.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.eval()
        return self
