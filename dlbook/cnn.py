"""Convolutional networks: batch normalisation by hand, the article's CNN, a ResNet.

The networks are made of PyTorch's layers; tests put those of `conv` and the one here in
their place. `LocallyConnected2d` is a layer that PyTorch lacks.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import check_dtype, check_shape
from dlbook.conv import Size, _check_integers, _check_sizes, _pair, output_size, unfold
from dlbook.network import Dense, glorot_uniform_, he_normal_


class BatchNorm2d(nn.Module):
    """Normalise each channel over the batch, then apply a learnt scale and shift.

    In evaluation mode running averages of the means and variances take the place of the
    batch's own.

    Source: Ioffe and Szegedy 2015, algorithms 1 and 2; book equation (4.2b).
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5):
        """Create scale, shift and running averages.

        Args:
            channels: how many the images have.
            momentum: the weight of the newest batch in the running averages.
            eps: is added to the variance, against division by zero.

        Raises:
            ValueError: channels is less than 1.
        """
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1: got {channels}")
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Return the batch, normalised; in training, update the running averages.

        Args:
            x: images, in float32 or float64: in others, squares overflow.

        Raises:
            TypeError: x is not of the weights' type, or of a half-precision one.
            ValueError: It is not a batch of images with these channels, or holds a
                single value of each in training.
        """
        check_shape("x", x, "batch", len(self.weight), "height", "width")
        check_dtype("x", x, self.weight)
        if x.dtype.itemsize < 4:
            raise TypeError(f"x must be float32 or float64: got {x.dtype}")
        mean, var = self.running_mean, self.running_var
        if self.training:
            if (values := x[:, :1].numel()) < 2:
                raise ValueError(
                    "x must hold at least 2 values of each channel to train with: "
                    f"got {values}"
                )
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            unbiased = var.detach() * values / (values - 1)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        z = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + self.eps)
        return self.weight[:, None, None] * z + self.bias[:, None, None]


class LocallyConnected2d(nn.Module):
    """Locally connected layer: a convolution whose positions have weights of their own.

    Each output depends on the same pixels as in a convolution; no weights are shared.

    Source: LeCun 1989, "Generalization and network design strategies".
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        size: Size,
        kernel: Size,
        stride: Size = 1,
        padding: Size = 0,
    ):
        """Create the weights by He initialisation, and biases of zero.

        Args:
            channels: of the images.
            outputs: their number at each position.
            size: height and width of the images, which a convolution need not know.
            kernel: its height and width.
            stride: pixels from one position to the next.
            padding: pixels of zeros added at each side.

        Raises:
            TypeError: A size is neither an int nor two.
            ValueError: A number is too small, or the kernel does not fit.
        """
        super().__init__()
        _check_integers(channels=channels, outputs=outputs)
        _check_sizes(size=size, kernel=kernel, stride=stride, padding=padding)
        if min(channels, outputs) < 1:
            raise ValueError(
                f"channels and outputs must be at least 1: got {channels=}, {outputs=}"
            )
        self.kernel, self.stride, self.padding = kernel, stride, padding
        sizes = map(_pair, (size, kernel, stride, padding))
        self.shape = tuple(output_size(*side) for side in zip(*sizes, strict=True))
        positions = self.shape[0] * self.shape[1]
        inputs = channels * _pair(kernel)[0] * _pair(kernel)[1]
        self.weight = nn.Parameter(torch.empty(positions, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(positions, 1, outputs))
        for weight in self.weight:
            he_normal_(weight)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs rows columns"]:
        """Return a weighted sum at each position, with the weights of this position.

        Args:
            x: images of the size and channels that the layer was made for.

        Raises:
            TypeError: x is not of the weights' floating-point type.
            ValueError: x has another size or other channels.
        """
        patches = unfold(x, self.kernel, self.stride, self.padding)
        _check_patches(x, patches, self.shape, self.weight)
        patches = patches.flatten(3).flatten(1, 2)  # (batch, positions, inputs)
        y = patches.transpose(0, 1) @ self.weight.transpose(1, 2) + self.bias
        return y.permute(1, 2, 0).unflatten(2, self.shape)


class CNN(nn.Module):
    """Build the article's CNN: two convolutions with pooling, then two dense layers.

    It has 121,930 parameters, takes greyscale images of 28 × 28 pixels and returns
    logits for ten classes. Pooling comes before ReLU: the numbers and gradients are the
    same, and ReLU is computed for a quarter of them.
    """

    def __init__(self, init: Callable[[Tensor], None] = glorot_uniform_):
        """Create the layers, with biases of zero.

        Args:
            init: fills the weights of a layer in place.
        """
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        for conv in (self.conv1, self.conv2):
            init(conv.weight)
            nn.init.zeros_(conv.get_parameter("bias"))
        self.hidden, self.output = Dense(64 * 5 * 5, 64, init), Dense(64, 10, init)

    def forward(self, x: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 10"]:
        """Return logits, one for each class.

        Args:
            x: images, of the weights' type.

        Raises:
            TypeError: x is of another type.
            ValueError: It is not a batch of greyscale images of 28 × 28 pixels.
        """
        check_shape("x", x, "batch", 1, 28, 28)
        check_dtype("x", x, self.conv1.weight)
        a = F.relu(F.max_pool2d(self.conv1(x), 2))  # (batch, 32, 13, 13)
        a = F.relu(F.max_pool2d(self.conv2(a), 2))  # (batch, 64, 5, 5)
        a = F.relu(self.hidden(a.flatten(1)))
        return self.output(a)


class ConvBlock(nn.Sequential):
    """Stack a convolution, max pooling that halves the size, batch norm and ReLU.

    The convolution has no bias, since normalisation would subtract it again.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3):
        """Create the layers.

        Args:
            inputs: channels of the images.
            outputs: channels that the block returns.
            kernel: height and width of the kernel, odd, so that the size can be kept.

        Raises:
            ValueError: kernel is even.
        """
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd: got {kernel}")
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """Build a residual block: two convolutions with a residual (skip) connection.

    Source: He et al. 2016, "Deep residual learning", figure 2; book equation (4.2d).
    """

    def __init__(self, channels: int):
        """Create the layers.

        Args:
            channels: of the images, which the block keeps, as it does their size.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Return ReLU of the images plus what the convolutions make of them.

        Args:
            x: images.
        """
        change = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(x + change)


class ResNet(nn.Module):
    """Build a small ResNet of convolutional and residual blocks and a dense layer."""

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128),
        residual: Sequence[int] = (0, 0, 1),
        side: int = 28,
        channels: int = 1,
        classes: int = 10,
    ):
        """Create the layers.

        Args:
            widths: channels behind each convolutional block; the first one has a kernel
                of 5 × 5, the others 3 × 3.
            residual: how many residual blocks follow each of them.
            side: height and width of the images, in pixels.
            channels: 1 for greyscale images, 3 for colour.
            classes: how many logits are returned.

        Raises:
            ValueError: widths and residual do not fit together, or side is too small.
        """
        super().__init__()
        if (
            not widths
            or len(widths) != len(residual)
            or min(widths) < 1
            or min(residual) < 0
        ):
            raise ValueError(
                "widths must be at least 1 each, and residual at least 0, "
                f"as many of them and not none: got {widths=}, {residual=}"
            )
        left = side >> len(widths)
        if left < 1:
            raise ValueError(
                f"side must be at least {1 << len(widths)}, "
                f"to be halved {len(widths)} times: got {side}"
            )
        blocks: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(
            zip([channels, *widths], widths, strict=False)
        ):
            blocks.append(ConvBlock(inputs, outputs, kernel=3 if number else 5))
            blocks += [ResidualBlock(outputs) for _ in range(residual[number])]
        self.blocks = nn.Sequential(*blocks)
        self.output = Dense(widths[-1] * left**2, classes)

    def forward(
        self, x: Float[Tensor, "batch channels side side"]
    ) -> Float[Tensor, "batch classes"]:
        """Return logits, one for each class.

        Args:
            x: images, of the weights' type.

        Raises:
            TypeError: x is of another type.
            ValueError: It is not a batch of images with these channels and this side.
        """
        _check_resnet_images(self, x)
        return self.output(self.blocks(x).flatten(1))


def _check_resnet_images(model: ResNet, x: Tensor) -> None:
    """Refuse images that the layers were not made for."""
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    channels, outputs = convolutions[0].in_channels, convolutions[-1].out_channels
    check_shape("x", x, "batch", channels, "side", "side")
    check_dtype("x", x, model.output.weight)
    halvings = sum(isinstance(part, ConvBlock) for part in model.blocks)
    left = math.isqrt(model.output.weight.shape[1] // outputs)
    if not x.shape[2] >> halvings == x.shape[3] >> halvings == left:
        raise ValueError(
            f"x must have a side that, halved {halvings} times, is {left}: "
            f"got {tuple(x.shape)}"
        )


def _check_patches(
    x: Tensor, patches: Tensor, shape: tuple[int, ...], weight: Tensor
) -> None:
    """Refuse images of which a locally connected layer makes no such patches."""
    check_dtype("x", x, weight)
    if patches.shape[1:3] != shape or patches[0, 0, 0].numel() != weight.shape[2]:
        raise ValueError(
            f"x must have the size and channels of the layer, which has {shape} "
            f"positions with {weight.shape[2]} inputs each: got {tuple(x.shape)}"
        )
