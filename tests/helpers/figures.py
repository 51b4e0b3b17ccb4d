"""Small pictures, as notebooks store them."""

import base64
import io

import numpy as np
from PIL import Image

WHITE = np.full((40, 50, 3), 255, np.uint8)


def png(array: np.ndarray, mode: str = "png") -> str:
    """Return a picture in base64."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, mode)
    return base64.b64encode(buffer.getvalue()).decode()
