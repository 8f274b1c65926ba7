"""Behaviour cloning on the robot's demonstrations, in one of the ways of configs/.

    python train.py WAY --prior CKPT --data DIR --art DIR --out RUN_DIR [--seed K]

RUN_DIR gets policy.ckpt (resumable until it is done), policy.csv (the curve) and train.json (what the result page says).
All ways share data, batches, seeds and the number of steps. `--robot-data DIR` trains on other robot data first (for
diverse.toml, and only there).
"""

import argparse
import copy
import json
import platform
from pathlib import Path

import numpy as np
import torch

import loop
from art import Words
from chunk_flow import expert_of
from data import Demos
from expert import Expert, ExpertConfig, Policy
from features import Features
from latent import LatentActions
from pretrain import Scenes, load_vlm, vlm_losses
from scenes import normalised
from vlm import Vlm, heat_loss
from ways import FrozenNorms, fold_lora, load_way, prepare_vlm

MOTION_BATCH = 256
# What a warmed trunk does not hold: the parts that look at the picture begin anew with every seed.
READERS = ("block_conv.", "block.", "card_read.", "card.", "eye.")
# Spread of the noise on the places that the trunk is told in training (m). That on proprioception is the robot's.
PLACE_NOISE_M = 0.004
# Spread of the noise on places in the picture, as a share of its side.
PLACE_NOISE_UV = 0.005
# In how many cases the trunk is told the true places, and in how many no features, so that it follows the places.
TRUE_PLACES, NO_FEATURES = 0.3, 0.3


class Batches:
    """The batch of a step, made from (seed, step) alone."""

    def __init__(self, demos, words, index, size, features=None, scenes=None, codes=None, fixed_camera=True):
        self.demos, self.words, self.index, self.size = demos, words, index, size
        self.features, self.scenes, self.codes, self.fixed_camera = features, scenes, codes, fixed_camera

    def __call__(self, rng, step):
        index = np.sort(rng.choice(self.index, min(self.size, len(self.index)), replace=False))
        batch = self.demos.batch(index, self.words) | self.demos.motion(rng, MOTION_BATCH, self.codes, self.fixed_camera)
        if self.features is not None:
            batch |= self.features.at(index)
            del batch["image"]
        if self.codes is not None:
            batch["codes"] = self.codes[self.demos.kept[index]]
        if self.scenes is not None:
            batch |= self.scenes(rng, step)
        return batch


class Cloning(FrozenNorms):
    """A policy with its losses. Figures: the card within 7 cm of the truth, errors in mm."""

    def __init__(self, way, policy, fixed_camera=True, heat=0.15):
        super().__init__()
        self.way, self.policy, self.fixed_camera, self.heat = way, policy, fixed_camera, heat
        # What teaches an insulated VLM: the chunk's DCT tokens, read from features that do pass a gradient on.
        self.tokens = Expert(policy.vlm.c, ExpertConfig(kind="fast")) if way.insulate else None

    def jittered(self, images):
        """As a model takes them, a little brighter or darker in training."""
        images = normalised(images, self.policy.vlm.c)
        if self.training:
            images = images * torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(0.92, 1.08) + torch.randn_like(images) * 0.01
        return images.contiguous(memory_format=torch.channels_last)

    def see(self, batch):
        vlm, learns = self.policy.vlm, self.way.vlm != "none"
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            if "image" in batch:
                fine, tokens = vlm.vision(self.jittered(batch["image"]))
            else:
                fine, tokens = batch["fine"].float(), batch["image_tokens"].float()
            text, mask = vlm.text(batch["tokens"])
            fused, heat = vlm.ground(tokens, text[batch["text_row"]], mask[batch["text_row"]])
        return fine, fused, heat

    def clone(self, expert, batch, seen):
        e = expert.e
        state = batch["state"]
        if self.training:
            state = state + torch.randn_like(state) * expert.state_noise / expert.state_std
        r = expert.read(*seen, state)
        block, card = r["block"], r["card"]
        feature, card_feature = r["block_feature"], r["card_feature"]
        view = expert.eye(self.jittered(batch["wrist"])) if "wrist" in batch else None
        if self.training:
            true = (torch.rand(len(state), 1, device=state.device) < TRUE_PLACES).float()
            block, card = block + true * (batch["block"] - block), card + true * (batch["card"] - card)
            block, card = block + torch.randn_like(block) * PLACE_NOISE_M / 3, card + torch.randn_like(card) * PLACE_NOISE_M
            keep = (torch.rand(len(state), 1, device=state.device) > NO_FEATURES).float()
            feature, card_feature, view = (f * keep if f is not None else None for f in (feature, card_feature, view))
        loss = expert.outputs.loss(expert.hidden(state, block, card, feature, card_feature, view), batch["chunk"], batch.get("codes"))
        block_error, card_error = (r["block"] - batch["block"]).abs(), (r["card"] - batch["card"]).abs()
        figures = {"action": loss, "block_mm": block_error[:, :2].mean() * 1000, "card_right": ((r["card"] - batch["card"]).norm(dim=-1) < 0.07).float().mean()}
        loss = loss + 10 * block_error.mean() + 5 * card_error.mean()
        if self.fixed_camera:
            c = self.policy.vlm.c
            (rows, cols), (fine_rows, fine_cols) = c.grid, c.fine_grid
            heat, _ = heat_loss(expert.block.cells, (fine_cols, fine_rows), batch["block_uv"], r["block_logits"])
            card_heat, figures["cell"] = heat_loss(expert.card.cells, (cols, rows), batch["card_uv"], r["card_logits"])
            loss = loss + self.heat * (heat + card_heat)
        return loss, figures

    def forward(self, batch):
        seen = self.see(batch)
        own = tuple(x.detach() for x in seen) if self.way.insulate else seen
        loss, figures = self.clone(self.policy.expert, batch, own)
        if "motion_state" in batch:
            loss = loss + motion_loss(self.policy.expert, batch)
        if self.tokens is not None:
            token_loss, token_figures = self.clone(self.tokens, batch, seen)
            loss, figures["token_card_right"] = loss + token_loss, token_figures["card_right"]
        if self.way.cotrain and ("crowd" in batch or "table" in batch):
            vlm_loss, vlm_figures = vlm_losses(self.policy.vlm, batch)
            loss = loss + self.way.cotrain * vlm_loss
            figures |= {f"vlm_{k}": v for k, v in vlm_figures.items()}
        return loss, figures


def motion_loss(expert, batch):
    """The trunk alone: from proprioception and the truth about the table to what the expert does."""
    state = batch["motion_state"] + torch.randn_like(batch["motion_state"]) * expert.state_noise / expert.state_std
    block = batch["motion_block"] + torch.randn_like(batch["motion_block"]) * PLACE_NOISE_M / 3
    card = batch["motion_card"] + torch.randn_like(batch["motion_card"]) * PLACE_NOISE_M
    loss = expert.outputs.loss(expert.hidden(state, block, card), batch["motion_chunk"], batch.get("motion_codes"))
    if "motion_block_uv" in batch:
        loss = loss + places_loss(expert, state, batch)
    return loss


def places_loss(expert, state, batch):
    """From places in the picture to places on the table: what the fixed camera's geometry alone tells."""
    blur = lambda uv: uv + torch.randn_like(uv) * PLACE_NOISE_UV
    nothing = state.new_zeros(len(state), expert.FEATURES)
    card_uv, block_uv = blur(batch["motion_card_uv"]), blur(batch["motion_block_uv"])
    card = expert.card_world(torch.cat([card_uv, nothing], -1) if expert.e.read == "features" else card_uv)
    block = expert.block_world(torch.cat([block_uv, nothing, state], -1))
    return 5 * (card - batch["motion_card"]).abs().mean() + 5 * (block - batch["motion_block"]).abs().mean()


class Motion(torch.nn.Module):
    """The warm-up of a trunk: motion alone, before any picture. The same for every way with this kind of expert."""

    def __init__(self, expert):
        super().__init__()
        self.expert = expert

    def forward(self, batch):
        loss = motion_loss(self.expert, batch)
        return loss, {"action": loss}


def warm_trunk(args, expert, demos, cache, codes):
    """Loads or trains the trunk for this kind of expert: one for all seeds."""
    e = expert.e
    path = cache / f"motion-{demos.robot.name}-{e.kind}-{e.read}-{args.motion_steps}.ckpt"
    with loop.only_one(path):
        if not path.exists():
            options = argparse.Namespace(**(vars(args) | {"steps": args.motion_steps, "rate": 1.5e-3, "seed": 0, "log_every": max(1, args.motion_steps // 4), "workers": 0}))
            trainee = copy.deepcopy(expert)
            parts = [p for part in (trainee.trunk, trainee.outputs, trainee.block_world, trainee.card_world) for p in part.parameters()]
            content = lambda: {"kind": "motion", "expert": trainee.state_dict()}
            loop.run(options, path.with_suffix(".part.ckpt"), "motion", Motion(trainee), [{"params": parts}], lambda rng, step: demos.motion(rng, 512, codes), content)
            path.with_suffix(".part.ckpt").rename(path)
    warmed = loop.load(path, "motion")["expert"]
    fresh = {k: v for k, v in expert.state_dict().items() if k.startswith(READERS)}
    loop.restore(expert, warmed | fresh, path)


def build(args, way, demos, latent):
    """The policy of a way before any picture was seen, with the trunk that knows the motion."""
    torch.manual_seed(args.seed)
    vlm = load_vlm(args.prior)
    if not way.prior:
        vlm = Vlm(vlm.c)
    expert = expert_of(vlm.c, way.expert, demos.robot)
    expert.state_noise = demos.robot.state_noise
    expert.state_mean.copy_(demos.state_mean)
    expert.state_std.copy_(demos.state_std)
    with torch.no_grad():  # the middle of the table, to begin with
        expert.block_world[-1].bias.copy_(demos.block.mean(0))
        expert.card_world[-1].bias.copy_(demos.card[:, :2].mean(0))
    if way.expert.kind == "chunk":
        expert.outputs.fit(demos)
    else:
        expert.outputs.fit(demos.chunks, latent.embedding if latent is not None else None)
    warm_trunk(args, expert, demos, args.cache, latent.codes if latent is not None else None)
    return Policy(vlm, expert).to(memory_format=torch.channels_last)


def content_of(module, way, demos):
    """What a policy checkpoint holds: adapters folded in, so that every way exports alike."""

    def content():
        policy = copy.deepcopy(module.policy)
        if way.vlm == "lora":
            fold_lora(policy.vlm)
        return {
            "kind": "policy", "way": way.name, "robot": demos.robot.name, "config": policy.vlm.c.to_dict(), "expert": policy.expert.e.to_dict(), "policy": policy.state_dict(),
            "state_mean": demos.state_mean, "state_std": demos.state_std, "action_mean": demos.action_mean, "action_std": demos.action_std,
        }

    return content


def clone(args, way, policy, demos, out, name, latent=None, fixed_camera=True):
    """One training run; returns minutes and the number of trained parameters."""
    c = policy.vlm.c
    words = Words(args.art / "tokenizer.json", c.max_tokens)
    torch.manual_seed(args.seed)
    vlm_parameters = prepare_vlm(way, policy.vlm)
    module = Cloning(way, policy, fixed_camera, args.heat)
    if module.tokens is not None:
        module.tokens.state_noise = policy.expert.state_noise
        module.tokens.state_mean.copy_(demos.state_mean)
        module.tokens.state_std.copy_(demos.state_std)
        module.tokens.outputs.fit(demos.chunks)
    module.train()
    features = Features(policy.vlm, demos, args.cache / f"features-{args.prior.stem}") if way.vision_frozen else None
    train, held = demos.split()
    scenes = Scenes(args.art, c, crowds=0 if way.vision_frozen else args.cotrain_crowds, tables=args.cotrain_tables) if way.cotrain else None
    codes = latent.codes if latent is not None else None
    batches = Batches(demos, words, train, args.batch, features, scenes, codes, fixed_camera)
    fresh = [*policy.expert.parameters(), *(module.tokens.parameters() if module.tokens is not None else [])]
    groups = [{"params": fresh}]
    if vlm_parameters:
        groups.append({"params": vlm_parameters, "factor": way.vlm_rate})
    held_batches = Batches(demos, words, held if len(held) else train, 128, features, codes=codes)
    check_batch = held_batches(np.random.default_rng(0), 0)
    check_batch = {k: v for k, v in check_batch.items() if not k.startswith("motion")}

    def check(bare):
        device = next(bare.parameters()).device
        _, figures = bare({k: v.to(device) if torch.is_tensor(v) else v for k, v in check_batch.items()})
        return {f"held_{k}": v for k, v in figures.items()}

    minutes = loop.run(args, out, name, module, groups, batches, content_of(module, way, demos), check)
    return minutes, sum(p.numel() for g in groups for p in g["params"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", help="a file of configs/, without .toml")
    parser.add_argument("--prior", type=Path, required=True, help="checkpoint of pretrain.py")
    parser.add_argument("--data", type=Path, required=True, help="what data.py wrote")
    parser.add_argument("--robot-data", type=Path, help="other robot data to train on first (data.py's, from wink record --tasks diverse)")
    parser.add_argument("--art", type=Path, required=True, help="what art.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--cache", type=Path, help="folder for what runs share: warmed trunks, features (default: beside --data)")
    parser.add_argument("--start", type=Path, help="a policy checkpoint of the same architecture to go on from")
    parser.add_argument("--heat", type=float, default=0.15, help="weight of the losses on where block and card are in the picture")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--motion-steps", type=int, default=2500)
    parser.add_argument("--latent-steps", type=int, default=1500)
    parser.add_argument("--robot-steps", type=int, default=300, help="steps on --robot-data")
    parser.add_argument("--cotrain-crowds", type=int, default=3)
    parser.add_argument("--cotrain-tables", type=int, default=3)
    loop.add_arguments(parser, steps=400, rate=2.5e-3)
    args = parser.parse_args()
    way = load_way(args.way)
    if way.robot_first != (args.robot_data is not None):
        raise loop.Refused(f"{args.way}: --robot-data {'is needed' if way.robot_first else 'is for ways with robot_first alone'}")
    args.cache = args.cache or args.data.parent / "cache"
    args.out.mkdir(parents=True, exist_ok=True)
    loop.accelerator(args)
    vlm = load_vlm(args.prior)
    # A policy that goes on keeps the scales that it was made with.
    start = loop.load(args.start, "policy") if args.start else None
    demos = Demos(args.data, vlm.c, like=argparse.Namespace(**start) if start else None)
    if (way.robot, way.expert.chunk) != (demos.robot.name, demos.chunk):
        raise loop.Refused(f"{args.data}: {demos.robot.name} with chunks of {demos.chunk}, where {args.way} is for {way.robot} with {way.expert.chunk}: run data.py for it")
    latent = LatentActions.of(args, vlm, demos, way.expert) if way.expert.kind == "latent" else None
    policy = build(args, way, demos, latent)
    if way.robot_first:
        other = Demos(args.robot_data, vlm.c, like=demos)
        options = argparse.Namespace(**(vars(args) | {"steps": args.robot_steps}))
        clone(options, way, policy, other, args.out / "robot.ckpt", "robot", fixed_camera=False)
        loop.restore(policy, loop.load(args.out / "robot.ckpt", "policy")["policy"], args.out / "robot.ckpt")
    if start:
        loop.restore(policy, start["policy"], args.start)
    minutes, trained = clone(args, way, policy, demos, args.out / "policy.ckpt", f"{args.way}-{args.seed}", latent)
    figures = {
        "way": way.name, "title": way.title, "seed": args.seed, "parameters_total": sum(p.numel() for p in policy.parameters()), "parameters_trained": trained,
        "steps": args.steps, "samples": args.steps * args.batch, "minutes": round(minutes, 2), "device": "cuda" if torch.cuda.is_available() and not args.cpu else f"cpu, {platform.machine()}, {args.threads} thread(s)",
        "config": {k: (str(v) if isinstance(v, Path) else v) for k, v in {"vlm": way.vlm, "vlm_rate": way.vlm_rate, "cotrain": way.cotrain, "insulate": way.insulate, "expert": way.expert.to_dict(), "rate": args.rate, "batch": args.batch, "heat": args.heat, "start": args.start and args.start.name, "motion_steps": args.motion_steps}.items()},
    }
    (args.out / "train.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{args.out}: {args.steps} steps, {minutes:.1f} min, {trained / 1e6:.2f} M parameters trained")


if __name__ == "__main__":
    main()
