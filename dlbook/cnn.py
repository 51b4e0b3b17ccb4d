"""Networks for pictures: batch normalisation by hand, the article's convolutional network, and a small ResNet.

The networks are made of PyTorch's layers; tests put those of `conv` and the one here in their place.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook.network import Dense, glorot_uniform_


class BatchNorm2d(nn.Module):
    """Give each channel mean 0 and variance 1 over the batch, then a learnt scale and shift.

    In evaluation mode running averages of the means and variances take the place of the batch's own.

    Source: Ioffe and Szegedy 2015, algorithms 1 and 2; book equation (4.2b).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5):
        """Make the layer; `momentum` is the share of the newest batch in the running averages."""
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1: got {channels}")
        self.momentum, self.eps = momentum, eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Normalise a batch; in training, remember its means and variances."""
        mean, var = self.running_mean, self.running_var
        if self.training:
            if (values := x[:, :1].numel()) < 2:
                raise ValueError(f"x must hold at least 2 values of each channel to train with: got {values}")
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(var.detach() * values / (values - 1), self.momentum)
        z = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + self.eps)
        return self.weight[:, None, None] * z + self.bias[:, None, None]


class CNN(nn.Module):
    """The article's network: two convolutions, each with ReLU and pooling, then two dense layers; 121,930 parameters.

    It takes grey pictures of 28 × 28 pixels and returns scores for ten classes. Pooling stands before
    ReLU, which gives the same numbers and gradients and computes ReLU for a quarter of them.
    """

    def __init__(self, init: Callable[[Tensor], None] = glorot_uniform_):
        """Make the layers; `init` fills the weights, biases are zero."""
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        for conv in (self.conv1, self.conv2):
            init(conv.weight)
            nn.init.zeros_(conv.get_parameter("bias"))
        self.hidden, self.output = Dense(64 * 5 * 5, 64, init), Dense(64, 10, init)

    def forward(self, x: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 10"]:
        """Return scores, one for each class."""
        a = F.relu(F.max_pool2d(self.conv1(x), 2))  # (batch, 32, 13, 13)
        a = F.relu(F.max_pool2d(self.conv2(a), 2))  # (batch, 64, 5, 5)
        a = F.relu(self.hidden(a.flatten(1)))
        return self.output(a)


class ConvBlock(nn.Sequential):
    """A convolution that keeps the size, max pooling that halves it, batch normalisation and ReLU.

    The convolution has no bias, since normalisation would take it away again.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3):
        """Make the layers for numbers of channels and an odd kernel."""
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd: got {kernel}")
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """Add to a picture what two convolutions make of it, so that they need to learn only the difference.

    Source: He et al. 2016, "Deep residual learning", figure 2; book equation (4.2d).
    """

    def __init__(self, channels: int):
        """Make the layers; the picture keeps its size and its number of channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """Return the picture, changed a little."""
        change = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(x + change)


class ResNet(nn.Module):
    """Stack convolutional blocks that each halve the picture, with residual blocks between them, and a dense layer."""

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128),
        residual: Sequence[int] = (0, 0, 1),
        side: int = 28,
        channels: int = 1,
        classes: int = 10,
    ):
        """Make the layers.

        Args:
            widths: channels behind each block; the first block has a kernel of 5 × 5, the others 3 × 3.
            residual: how many residual blocks follow each block.
            side: height and width of the pictures, in pixels.
            channels: 1 for grey pictures, 3 for colour.
        """
        super().__init__()
        if not widths or len(widths) != len(residual) or min(widths) < 1 or min(residual) < 0:
            raise ValueError(
                "widths must be at least 1 each, and residual at least 0, as many of them and not none: "
                f"got {widths=}, {residual=}"
            )
        left = side >> len(widths)
        if left < 1:
            raise ValueError(f"side must be at least {1 << len(widths)}, to be halved {len(widths)} times: got {side}")
        blocks: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(zip([channels, *widths], widths, strict=False)):
            blocks.append(ConvBlock(inputs, outputs, kernel=3 if number else 5))
            blocks += [ResidualBlock(outputs) for _ in range(residual[number])]
        self.blocks = nn.Sequential(*blocks)
        self.output = Dense(widths[-1] * left**2, classes)

    def forward(self, x: Float[Tensor, "batch channels side side"]) -> Float[Tensor, "batch classes"]:
        """Return scores, one for each class."""
        return self.output(self.blocks(x).flatten(1))
