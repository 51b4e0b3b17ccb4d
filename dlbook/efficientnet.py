"""EfficientNet-Lite0: depthwise separable convolutions in inverted residual blocks.

Small enough for a phone, and the network of images whose ImageNet weights `pretrained`
loads.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from dlbook._check import check_dtype, check_shape, check_whole

# Expansion, kernel, stride, channels and number of the blocks of each stage.
LITE0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def pad_same(
    x: Float[Tensor, "batch channels height width"], kernel: int, stride: int
) -> Float[Tensor, "batch channels padded_height padded_width"]:
    """Pad images with zeros as TensorFlow's "same" does.

    The convolution that follows returns ⌈size / stride⌉ positions along each axis. What
    cannot be split evenly goes to the bottom and to the right, where `padding=1` of
    PyTorch would put it on both sides.

    Args:
        x: images.
        kernel: height and width of the kernel that follows.
        stride: its stride.

    Raises:
        ValueError: `x` is no batch of images, or `kernel` or `stride` is less than 1.
    """
    check_shape("x", x, "batch", "channels", "height", "width")
    check_whole(1, kernel=kernel, stride=stride)
    sides = []
    for size in reversed(x.shape[2:]):  # F.pad begins with the last axis
        positions = -(-size // stride)
        missing = max(0, (positions - 1) * stride + kernel - size)
        sides += [missing // 2, missing - missing // 2]
    return F.pad(x, sides)


class ConvNorm(nn.Module):
    """Convolution that keeps the size up to its stride, batch normalisation, ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        activation: bool = True,
    ):
        """Create the layers.

        Args:
            inputs, outputs: channels.
            kernel: height and width of the kernel.
            stride: by how many pixels it moves.
            depthwise: whether each channel has a kernel of its own, and is not mixed
                with others.
            activation: whether the result is cut to 0 ... 6.

        Raises:
            ValueError: A size is less than 1, or a depthwise convolution would change
                the number of channels.
        """
        check_whole(1, inputs=inputs, outputs=outputs, kernel=kernel, stride=stride)
        if depthwise and inputs != outputs:
            rule = "outputs must be inputs in a depthwise convolution"
            raise ValueError(f"{rule}: got {inputs=}, {outputs=}")
        super().__init__()
        groups = inputs if depthwise else 1
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        self.kernel, self.stride, self.activation = kernel, stride, activation

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs new_height new_width"]:
        """Return what the convolution finds.

        Args:
            x: images.

        Raises:
            ValueError: `x` is no batch of images with these channels.
        """
        channels = self.conv.in_channels
        check_shape("x", x, "batch", channels, "height", "width")
        z = self.norm(self.conv(pad_same(x, self.kernel, self.stride)))
        return F.relu6(z) if self.activation else z


class InvertedResidual(nn.Module):
    """Inverted residual block: expand the channels, filter each, project them back.

    A convolution of k × k from c to c channels has k² c² weights. Here each of the
    expanded channels is filtered by itself (depthwise, k² weights), and a convolution
    of 1 × 1 mixes them: a depthwise separable convolution. The residual connection
    joins the thin ends, which have no nonlinearity.

    Source: Sandler et al. 2018, section 3.3.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        expansion: int = 6,
    ):
        """Create the layers.

        Args:
            inputs, outputs: channels of the thin ends.
            kernel: height and width of the depthwise kernels.
            stride: by how many pixels they move.
            expansion: how many times as many channels are filtered; at 1 there is no
                layer that expands.

        Raises:
            ValueError: A size is less than 1.
        """
        check_whole(1, expansion=expansion)
        super().__init__()
        inner = inputs * expansion
        self.expand = ConvNorm(inputs, inner) if expansion > 1 else nn.Identity()
        self.filter = ConvNorm(inner, inner, kernel, stride, depthwise=True)
        self.project = ConvNorm(inner, outputs, activation=False)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs new_height new_width"]:
        """Return the output, with the images added to it where the shapes allow it.

        Args:
            x: images.

        Raises:
            ValueError: `x` is no batch of images with these channels.
        """
        change = self.project(self.filter(self.expand(x)))
        return x + change if self.is_residual else change


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0: inverted residual blocks without squeeze-and-excitation.

    Source: Tan and Le 2019, table 1; Liu 2020.
    """

    def __init__(
        self,
        classes: int = 1000,
        stages: Sequence[tuple[int, int, int, int, int]] = LITE0,
        dropout: float = 0.2,
    ):
        """Create the layers.

        Args:
            classes: how many logits are returned.
            stages: expansion, kernel, stride, channels and number of the blocks of each
                stage.
            dropout: probability with which a feature is zeroed in training.

        Raises:
            ValueError: A size is less than 1, or there is no stage.
        """
        check_whole(1, classes=classes, stages=len(stages))
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, 2)
        channels, blocks = 32, []
        for expansion, kernel, stride, outputs, number in stages:
            for step in [stride, *[1] * (number - 1)]:
                block = InvertedResidual(channels, outputs, kernel, step, expansion)
                blocks.append(block)
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = ConvNorm(channels, 1280)
        self.dropout, self.output = nn.Dropout(dropout), nn.Linear(1280, classes)

    def features(
        self, x: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 1280"]:
        """Return the features of images: what the last layer sees.

        Args:
            x: colour images, as `scale_image` returns them.

        Raises:
            TypeError: `x` is not of the weights' type.
            ValueError: `x` is no batch of colour images.
        """
        check_shape("x", x, "batch", 3, "height", "width")
        check_dtype("x", x, self.output.weight)
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x).mean((2, 3))  # global average pooling

    def forward(
        self, x: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Return logits, one for each class.

        Args:
            x: colour images, as `scale_image` returns them.

        Raises:
            TypeError: `x` is not of the weights' type.
            ValueError: `x` is no batch of colour images.
        """
        return self.output(self.dropout(self.features(x)))


def scale_image(
    x: Float[Tensor, "batch channels height width"], side: int = 224
) -> Float[Tensor, "batch 3 side side"]:
    """Return images as EfficientNet-Lite takes them: colour, square, -1 to 1.

    A greyscale image gets three equal channels. The size is changed by bilinear
    interpolation, antialiased where it shrinks.

    Args:
        x: images with values from 0 to 1, of one channel or three.
        side: height and width of the result; the weights were trained with 224.

    Raises:
        TypeError: `x` is not floating point.
        ValueError: `x` is no batch of images of one or three channels, or has values
            outside 0 ... 1.
    """
    check_shape("x", x, "batch", "channels", "height", "width")
    check_whole(1, side=side)
    if x.shape[1] not in (1, 3):
        raise ValueError(f"x must have 1 or 3 channels: got {tuple(x.shape)}")
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, from 0 to 1: got {x.dtype}")
    if x.numel() and not x.is_meta and not 0 <= x.min() <= x.max() <= 1:
        got = f"{x.min().item():g} to {x.max().item():g}"
        raise ValueError(f"x must be from 0 to 1: got {got}")
    x = x.expand(-1, 3, -1, -1)
    if x.shape[2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
    return (255 * x - 127) / 128
