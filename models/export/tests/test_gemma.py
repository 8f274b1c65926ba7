"""The exporter's own Gemma and SigLIP against the released transformers, whose two factors are undone from outside; the time's embedding."""

import unittest

import torch

from export import cli
from export.gemma import Gemma, Norm, gated
from export.layers import MASKED, TimeEmbedding, rotation
from export.pi0_reference import run
from export.vision import VisionTower


class Held(dict):
    """Weights by name."""

    def take(self, name):
        return self[name]

    def names(self):
        return self.keys()


class AgainstTransformers(unittest.TestCase):
    def setUp(self):
        cli.quiet()
        torch.manual_seed(5)

    def shake(self, module):
        with torch.no_grad():
            for weight in module.parameters():
                weight.copy_(torch.randn(weight.shape) * 0.3)

    def test_gemma(self):
        from transformers import GemmaConfig, GemmaModel

        config = GemmaConfig(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, head_dim=6)
        config._attn_implementation = "eager"
        stock = GemmaModel(config).eval()
        self.shake(stock)
        own = Gemma(Held({f"x.{name}": value for name, value in stock.state_dict().items()}), "x.")
        length, past = 5, 7
        x = torch.randn(1, past + length, 16)
        positions = torch.arange(past + length)[None]
        bias = torch.zeros(1, 1, past + length, past + length)
        bias[..., 2:4] = MASKED
        bias[:, :, :past, past:] = MASKED
        with torch.no_grad():
            # The released code multiplies what enters by sqrt(hidden).
            expected = stock(inputs_embeds=x / 16**0.5, attention_mask=bias, position_ids=positions, use_cache=False).last_hidden_state
            cosine, sine = rotation(positions[0], 6)
            before = (x[:, :past], cosine[:past], sine[:past], bias[:, :, :past, :past])
            keys, values, nothing = own(*before, last=0)
            *same, row = own(*before[:3], before[3][:, :, -1:], last=1)
            *_, got = own(x[:, past:], cosine[past:], sine[past:], bias[:, :, past:], (keys, values))
            plain, _ = run(own, x, positions[0], bias, None, None)
            wrong = stock(inputs_embeds=x, attention_mask=bias, position_ids=positions, use_cache=False).last_hidden_state
        self.assertIsNone(nothing)
        torch.testing.assert_close(row, expected[:, past - 1 : past], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(same, [keys, values])
        torch.testing.assert_close(plain, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(got, expected[:, past:], rtol=1e-4, atol=1e-4)
        self.assertGreater((wrong - expected).abs().max().item(), 0.1, "the factor matters")

    def test_image_encoder(self):
        from transformers import SiglipVisionConfig, SiglipVisionModel

        config = SiglipVisionConfig(hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=16, image_size=14, patch_size=7, vision_use_head=False, hidden_act="gelu_pytorch_tanh")
        stock = SiglipVisionModel(config).eval()
        self.shake(stock)
        weights = stock.state_dict()
        positions = weights["vision_model.embeddings.position_embedding.weight"]
        own = VisionTower(weights, "vision_model.", 16, 1e-6, positions)
        images = torch.randn(2, 3, 14, 14)
        with torch.no_grad():
            torch.testing.assert_close(own(images), stock(images).last_hidden_state, rtol=1e-4, atol=1e-4)

    def test_conditioned_norm(self):
        """By hand: x = (3, 4), so rms = sqrt(12.5); scale, shift and gate are the thirds of dense(condition)."""
        weight = torch.zeros(6, 1)
        weight[:, 0] = torch.tensor([1.0, 2.0, 0.5, -0.5, 10.0, 20.0])
        norm = Norm(Held({"n.dense.weight": weight, "n.dense.bias": torch.zeros(6)}), "n")
        y, gate = norm(torch.tensor([[[3.0, 4.0]]]), torch.tensor([[2.0]]))
        rms = 12.5**0.5
        torch.testing.assert_close(y, torch.tensor([[[3 / rms * 3 + 1, 4 / rms * 5 - 1]]]))
        torch.testing.assert_close(gate, torch.tensor([[[20.0, 40.0]]]))
        torch.testing.assert_close(gated(torch.ones(2), torch.ones(2), torch.tensor([0.5, 0.0])), torch.tensor([1.5, 1.0]))


class Time(unittest.TestCase):
    def test_embedding_as_in_f64(self):
        from lerobot.policies.smolvla.modeling_smolvla import create_sinusoidal_pos_embedding

        own = TimeEmbedding(720, 4e-3, 4.0)
        for time in (1.0, 0.9, 1 / 3, 0.1, 0.001, 0.0):
            moment = torch.tensor([time])
            expected = create_sinusoidal_pos_embedding(moment, 720, 4e-3, 4.0, device=torch.device("cpu"))
            self.assertLess((own(moment).double() - expected).abs().max().item(), 1e-6, time)


if __name__ == "__main__":
    unittest.main()
