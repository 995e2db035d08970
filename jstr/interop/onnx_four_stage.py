"""ONNX graphs of the four-stage recognisers (jstr/models/four_stage.py): one for CTC, two for the attention decoder.

The attention decoder's two are the encoder, and one step of the decoder for W texts of each word at a time, because the
loop over steps belongs to the reader: it also does beam search.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jstr.interop.onnx_features import EXTRACTORS
from jstr.interop.onnx_graph import (
    BATCH,
    FLOAT,
    Graph,
    Weights,
    conv_norm,
    dense,
    images_input,
    max_pool,
    pixels,
)
from jstr.nn.tps import constants

GATES = [0, 3, 1, 2]  # our gates input, forget, cell, output in ONNX's order input, output, forget, cell
WIDTH = "width"


def write(model: Any, weights: Weights, batch: int | str = BATCH) -> dict[str, Any]:
    """Graphs by name. `reader`: images uint8 [B, H, W, C] -> probabilities [B, T, C] for CTC, else frames [B, S, D] and
    memory [B, S, H], which `step` takes.

    model: a jstr.models.four_stage.Model. batch: the name of the dimension, or its fixed size.
    """
    graph, config = Graph(), model.model_config
    x = pixels(graph, "images")
    if model.transformation == "tps":
        x = _rectify(graph, x, weights.of("rectifier"), model.num_fiducials, config.image_size)
    x = EXTRACTORS[model.features](graph, x, weights.of("extractor"), config.image_size)
    x = graph.add("ReduceMean", x, axes=[2], keepdims=0)
    frames = graph.add("Transpose", x, perm=(2, 0, 1))  # [S, B, D], as ONNX's LSTM takes it
    if model.sequence == "bilstm":
        for index in range(2):
            frames = _bilstm_block(graph, frames, weights.of(f"sequence_{index}"))
    height, width = config.image_size
    size = (height, width if model.transformation == "tps" else "image_width")
    inputs, decoder = images_input(size, config.channels, batch), weights.of("decoder")
    if config.is_ctc:
        x = graph.add("MatMul", frames, graph.constant(decoder.array("classifier_kernel")))
        x = graph.add("Add", x, graph.constant(decoder.array("classifier_bias")))
        x = graph.add("Softmax", graph.add("Transpose", x, perm=(1, 0, 2)), axis=-1)
        return {"reader": graph.model(inputs, {"probabilities": (x, FLOAT, (batch, "frames", config.num_classes))})}
    frames = graph.add("Transpose", frames, perm=(1, 0, 2))
    memory = graph.add("MatMul", frames, graph.constant(decoder.array("memory_kernel")))
    memory = graph.add("Add", memory, graph.constant(decoder.array("query_bias")))
    sizes = _decoder_sizes(decoder)
    outputs = {
        "frames": (frames, FLOAT, (batch, "frames", sizes["D"])),
        "memory": (memory, FLOAT, (batch, "frames", sizes["H"])),
    }
    return {"reader": graph.model(inputs, outputs), "step": _step(decoder, batch)}


def _decoder_sizes(decoder: Weights) -> dict[str, int]:
    size, hidden = decoder.array("memory_kernel").shape
    return {"D": size, "H": hidden, "C": len(decoder.array("classifier_bias"))}


def _step(weights: Weights, batch: int | str) -> Any:
    """One step of jstr.nn.attention_decoder for W texts of each word.

    frames [B, S, D], memory [B, S, H], tokens [B, W] int64, hidden and cell [B, W, H] -> probabilities [B, W, C],
    new_hidden, new_cell, attention [B, W, S].
    """
    graph, sizes = Graph(), _decoder_sizes(weights)
    size, hidden = sizes["D"], sizes["H"]
    kernel = weights.array("input_kernel")
    table = kernel[size:] if "embedding" not in weights.params else weights.array("embedding") @ kernel[size:]
    both = np.concatenate([weights.array("query_kernel"), weights.array("recurrent_kernel")], axis=1)
    product = graph.add("MatMul", "hidden", graph.constant(both))
    query, gates = graph.add_many("Split", 2, product, graph.shape(hidden, 4 * hidden), axis=-1)
    query = graph.add("Unsqueeze", query, graph.shape(2))  # [B, W, 1, H]
    scores = graph.add("Add", graph.add("Unsqueeze", "memory", graph.shape(1)), query)
    scores = graph.add("MatMul", graph.add("Tanh", scores), graph.constant(weights.array("score_kernel")))
    attention = graph.add("Softmax", graph.add("Squeeze", scores, graph.shape(3)), axis=-1)
    glimpse = graph.add("MatMul", graph.add("MatMul", attention, "frames"), graph.constant(kernel[:size]))
    token = graph.add("Gather", graph.constant(table + weights.array("bias")), "tokens", axis=0)
    gates = graph.add("Add", graph.add("Add", gates, glimpse), token)
    i, f, g, o = graph.add_many("Split", 4, gates, graph.shape(*[hidden] * 4), axis=-1)
    kept = graph.add("Mul", graph.add("Sigmoid", f), "cell")
    cell = graph.add("Add", kept, graph.add("Mul", graph.add("Sigmoid", i), graph.add("Tanh", g)))
    new = graph.add("Mul", graph.add("Sigmoid", o), graph.add("Tanh", cell))
    logits = graph.add("MatMul", new, graph.constant(weights.array("classifier_kernel")))
    logits = graph.add("Add", logits, graph.constant(weights.array("classifier_bias")))
    state = (FLOAT, (batch, WIDTH, hidden))
    inputs = {
        "frames": (FLOAT, (batch, "frames", size)),
        "memory": (FLOAT, (batch, "frames", hidden)),
        "tokens": ("INT64", (batch, WIDTH)),
        "hidden": state,
        "cell": state,
    }
    probabilities = graph.add("Softmax", logits, axis=-1), FLOAT, (batch, WIDTH, sizes["C"])
    outputs = {"probabilities": probabilities, "new_hidden": (new, *state), "new_cell": (cell, *state)}
    return graph.model(inputs, outputs | {"attention": (attention, FLOAT, (batch, WIDTH, "frames"))})


def _bilstm_block(graph: Graph, frames: str, weights: Weights) -> str:
    """[S, B, D] -> [S, B, hidden], a jstr.nn.rnn.BiLSTMBlock."""
    lstm = weights.of("lstm")

    def reordered(name: str) -> np.ndarray:
        """[2, ..., 4H] -> [2, 4H, ...] with the gates in ONNX's order."""
        array = np.moveaxis(lstm.array(name), -1, 1)
        return array.reshape(2, 4, -1, *array.shape[2:])[:, GATES].reshape(array.shape)

    bias = reordered("bias")
    tensors = (reordered("input_kernel"), reordered("recurrent_kernel"), np.concatenate([bias, 0 * bias], axis=1))
    size = tensors[1].shape[2]
    inputs = frames, *map(graph.constant, tensors)
    hidden = graph.add("LSTM", *inputs, direction="bidirectional", hidden_size=size)  # [S, 2, B, H]
    hidden = graph.add("Transpose", hidden, perm=(0, 2, 1, 3))
    return dense(graph, graph.add("Reshape", hidden, graph.shape(0, 0, 2 * size)), weights.of("linear"))


def _rectify(graph: Graph, images: str, weights: Weights, count: int, size: tuple[int, int]) -> str:
    """[B, C, H, W] -> [B, C, H, W], a jstr.nn.tps.TPS."""
    own, x = weights.of("localization"), images
    for index in range(4):
        x = x if index == 0 else max_pool(graph, x, (2, 2))
        x = conv_norm(graph, x, own.of(f"conv_{index}"))
    x = graph.add("Relu", dense(graph, graph.add("ReduceMean", x, axes=[2, 3], keepdims=0), own.of("fc1")))
    points = graph.add("Reshape", dense(graph, x, own.of("fc2")), graph.shape(0, count, 2))
    points = graph.add("Transpose", points, perm=(1, 0, 2))
    basis, system = constants(count, *size)
    for matrix in (system, basis):
        points = _product_in_order(graph, matrix, points)
    grid = graph.add("Reshape", graph.add("Transpose", points, perm=(1, 0, 2)), graph.shape(0, *size, 2))
    return graph.add("GridSample", images, grid, align_corners=1, mode="bilinear", padding_mode="border")


def _product_in_order(graph: Graph, matrix: np.ndarray, x: str) -> str:
    """matrix [N, K] times x [K, B, 2] -> [N, B, 2]: rounded products, added in the order of K, as in jstr.nn.tps."""
    products = graph.add("Mul", graph.constant(matrix.T[:, :, None, None]), graph.add("Unsqueeze", x, graph.shape(1)))
    return graph.add("ReduceSum", products, graph.shape(0), keepdims=0)
