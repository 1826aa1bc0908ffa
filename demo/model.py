"""The text model of the demo: wordllama's 256-dimension weights, shipped inside its package."""

import importlib.util
from pathlib import Path

DIMS = 256
# Part of the fingerprint of stored embeddings: change it when texts or model change.
NAME = "wordllama-l2-supercat-256"
CHUNK = 2_000


class ModelError(Exception):
    """The model cannot be loaded; the text says what to do."""


def load_model():
    """Loads from the package's own folder; the network is never asked."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ModelError("the Python package wordllama is missing; run `make demo-clean demo`")
    from wordllama import WordLlama

    folder = Path(spec.origin).parent
    try:
        return WordLlama.load(cache_dir=folder, disable_download=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"wordllama has no model in its own folder: {error}") from error


def embed(model, texts: list[str], progress=lambda done: None):
    """float32 array (len(texts), DIMS) of unit rows; a text of unknown words gives a zero row."""
    import numpy as np

    rows = np.zeros((len(texts), DIMS), np.float32)
    for start in range(0, len(texts), CHUNK):
        part = texts[start : start + CHUNK]
        rows[start : start + len(part)] = model.embed(part, norm=False)
        progress(len(part))
    np.nan_to_num(rows, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=rows, where=norms > 0)
