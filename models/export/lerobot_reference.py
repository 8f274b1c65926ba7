"""LeRobot's own answer to an observation: its processors, its policy, its code. The exported package must give the same."""

import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.processor import PolicyProcessorPipeline
from lerobot.processor.converters import policy_action_to_transition, transition_to_policy_action

from . import versions
from .checkpoint import POSTPROCESSOR, PREPROCESSOR


class Runner:
    """A policy with its processors as LeRobot loads them. `overrides`: what their steps are set to otherwise."""

    def __init__(self, checkpoint, policy, config, cameras, options, tokenizer=None, overrides=None, action_tokenizer=None):
        self.policy, self.cameras = policy, cameras
        # A feature that the checkpoint itself renames is given under its recorded name.
        self.names = {camera.name: camera.name if camera.name in checkpoint.rename else camera.feature for camera in cameras}
        self.before, self.after = processors(checkpoint, config, options, tokenizer, overrides or {}, action_tokenizer)

    def batches(self, observation):
        """The normalised batch of each observation of the history, the oldest first."""
        history = max(len(given) for given in (*observation.frames.values(), *observation.states.values()))
        for index in range(history):
            batch = {}
            for camera in self.cameras:
                frame = torch.from_numpy(observation.frames[camera.name][index]).float() / 255
                batch[self.names[camera.name]] = frame.permute(2, 0, 1).contiguous()
            for name, rows in observation.states.items():
                batch[name] = torch.tensor(rows[index], dtype=torch.float32)
            # ACT asks for this tensor's device, even where it does not read the state.
            batch.setdefault("observation.state", torch.zeros(1))
            batch["task"] = observation.instruction or ""
            yield self.before(batch)

    def chunk(self, observation, **noise):
        """The actions [steps, names] in the data set's units."""
        *_, batch = self.batches(observation)
        return self.finish(self.policy.predict_action_chunk(batch, **noise))

    def finish(self, actions):
        """Normalised actions [1, steps, names] in the data set's units."""
        return self.after(actions)[0]


def processors(checkpoint, config, options, tokenizer, overrides, action_tokenizer):
    """Those of the checkpoint; for an old one, whose statistics LeRobot would not find, those that it makes of them."""
    overrides = {"device_processor": {"device": "cpu"}, **overrides}
    if tokenizer is not None:
        overrides["tokenizer_processor"] = {"tokenizer_name": str(tokenizer)}
    if checkpoint.has_processors and not (checkpoint.inputs.has_buffers or checkpoint.outputs.has_buffers):
        with versions.readable(checkpoint.folder, (PREPROCESSOR, POSTPROCESSOR)) as folder:
            before = PolicyProcessorPipeline.from_pretrained(folder, config_filename=PREPROCESSOR, overrides=overrides)
            after = PolicyProcessorPipeline.from_pretrained(
                folder,
                config_filename=POSTPROCESSOR,
                overrides={"device_processor": {"device": "cpu"}},
                to_transition=policy_action_to_transition,
                to_output=transition_to_policy_action,
            )
        return before, after
    held = {}
    for source in (checkpoint.inputs, checkpoint.outputs):
        for feature in (*config.input_features, *config.output_features):
            if source.groups and (values := source.find(feature, options.statistics)):
                held[feature] = {stat: torch.from_numpy(value) for stat, value in values.items()}
    with local_tokenizer(tokenizer, action_tokenizer):
        return make_pre_post_processors(config, dataset_stats=held)


class local_tokenizer:  # noqa: N801
    """LeRobot's processors of the pi policies name tokenizers, which they would fetch: reads this folder in their place, and takes
    `actions` as that of the actions."""

    def __init__(self, folder, actions=None):
        self.folder, self.actions = folder, actions

    def __enter__(self):
        from lerobot.processor import tokenizer_processor

        self.module, self.held = tokenizer_processor, (tokenizer_processor.AutoTokenizer, tokenizer_processor.AutoProcessor)
        text, actions = self.held[0], self.actions
        folder = self.folder

        class Local:
            @staticmethod
            def from_pretrained(_, **more):
                return text.from_pretrained(folder, **more)

        class LocalActions:
            @staticmethod
            def from_pretrained(_, **more):
                return actions

        tokenizer_processor.AutoTokenizer, tokenizer_processor.AutoProcessor = Local, LocalActions

    def __exit__(self, *_):
        self.module.AutoTokenizer, self.module.AutoProcessor = self.held
