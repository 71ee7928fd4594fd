"""RepVideo's idea: what neighbouring layers agree on steadies the input of the next one.

Before layer l the newest features h are blended with the mean of the layer outputs since the last restart:

    h_l  <-  g_l * mean(cache) + (1 - g_l) * h_l        g_l learned, one number per layer, used raw
    cache =  [h_l's output]              after a layer whose index is a multiple of the group size (restart)
    cache =  cache + [h_l's output]      after any other layer

The cache starts with the embedding. Text and video tokens both take part. Mean and newest are the same thing where the
cache has one entry: before layers 0, 1, 7, 13, ... the gate has no influence.

Source: RepVideo, arXiv:2501.08994, section 3.2; Vchitect/RepVideo sat/transformer_gating.py:696-760. The paper's
equation 8 puts the gate on the newest features; the code, and so the weights, put it on the mean.

The authors keep up to six hidden states and stack them at each layer. Only their mean is ever used, so one running
mean is kept: a single extra hidden state, whatever the group size. Not a sum: six fp16 states can overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor

Streams = tuple[Tensor, Tensor]  # text and video tokens, each [batch, tokens, dim]


class LayerFeatureCache:
    """Running mean of the layer outputs since the last restart; lives inside one forward pass."""

    def __init__(self, embedding: Streams, group_size: int) -> None:
        self.group_size = group_size
        self._restart(embedding)

    def blend(self, newest: Streams, gate: Tensor) -> Streams:
        """Mix the mean into the newest features; `gate` is a scalar, 0 keeps the newest, 1 takes the mean."""
        if self.count == 1:
            return newest
        text, video = newest
        gate = gate.to(text)
        return torch.lerp(text, self.mean[0], gate), torch.lerp(video, self.mean[1], gate)

    def take(self, layer: int, output: Streams) -> None:
        """Record a layer's output: restart with it at every multiple of the group size, else join it to the mean."""
        if layer % self.group_size == 0:
            self._restart(output)
            return
        self.count += 1
        share = 1 / self.count
        # the first entry is a layer's own output, and the tape may need the mean: write in place only what is ours
        move = torch.Tensor.lerp_ if self.owned and not torch.is_grad_enabled() else torch.lerp
        self.mean = (move(self.mean[0], output[0], share), move(self.mean[1], output[1], share))
        self.owned = True

    def _restart(self, features: Streams) -> None:
        self.mean, self.count, self.owned = features, 1, False
