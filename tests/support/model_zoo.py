"""Small SavedModels for the server's tests, TF Serving's own half_plus_two among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

tf1 = tf.compat.v1


def _save(session: Any, folder: Path, signatures: dict[str, Any], init: Any = None) -> Path:
    builder = tf1.saved_model.Builder(str(folder))
    builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures, main_op=init)
    builder.save()
    return folder


def _signature(inputs: dict[str, Any], outputs: dict[str, Any], method: str) -> Any:
    info = tf1.saved_model.utils.build_tensor_info
    return tf1.saved_model.signature_def_utils.build_signature_def(
        {k: info(v) for k, v in inputs.items()},
        {k: info(v) for k, v in outputs.items()},
        f"tensorflow/serving/{method}",
    )


def half_plus(folder: Path, b: float = 2.0, *, resource_variables: bool = False) -> Path:
    """y = x/2 + b with TF1 variables: predict on x, classify and regress on Examples with a feature x."""
    with tf.Graph().as_default(), tf1.Session() as session:
        half, plus, three = (
            tf1.Variable(value, use_resource=resource_variables, name=name)
            for name, value in (("a", 0.5), ("b", b), ("c", 3.0))
        )
        examples = tf1.placeholder(tf.string, [None], name="tf_example")
        features = tf1.io.parse_example(
            examples,
            {
                "x": tf.io.FixedLenFeature([1], tf.float32),
                "x2": tf.io.FixedLenFeature([1], tf.float32, [0.0]),
            },
        )
        x = tf.identity(features["x"], name="x")
        y = tf.add(tf.multiply(half, x), plus, name="y")
        y2 = tf.add(tf.multiply(half, x), three, name="y2")
        labels = tf.fill(tf.shape(y), "positive", name="labels")
        session.run(tf1.global_variables_initializer())
        return _save(
            session,
            folder,
            {
                "serving_default": _signature({"x": x}, {"y": y}, "predict"),
                "regress_x_to_y": _signature({"inputs": examples}, {"outputs": y}, "regress"),
                "regress_x_to_y2": _signature({"inputs": examples}, {"outputs": y2}, "regress"),
                "classify_x_to_y": _signature({"inputs": examples}, {"scores": y}, "classify"),
                "classify_both": _signature(
                    {"inputs": examples}, {"classes": labels, "scores": y}, "classify"
                ),
                "classify_flat": _signature(
                    {"inputs": examples}, {"scores": tf.reshape(y, [-1])}, "classify"
                ),
                "regress_three": _signature({"inputs": examples}, {"outputs": tf.tile(y, [1, 3])}, "regress"),
                "odd_method": _signature({"x": x}, {"y": y}, "odd"),
            },
        )


class _Affine(tf.Module):
    def __init__(self, b: float) -> None:
        super().__init__()
        self.half, self.plus = tf.Variable(0.5), tf.Variable(b)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(self, x: Any) -> Any:
        return {"y": self.half * x + self.plus}


def affine(folder: Path, b: float = 2.0) -> Path:
    """y = x/2 + b with TF2 variables; x [None]."""
    module = _Affine(b)
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder


def many(folder: Path) -> Path:
    """Signatures over every type, with several inputs and outputs."""
    with tf.Graph().as_default(), tf1.Session() as session:
        a = tf1.placeholder(tf.float32, [None, None], name="a")
        b = tf1.placeholder(tf.float32, [None, None], name="b")
        text = tf1.placeholder(tf.string, [None], name="text")
        signatures = {
            "serving_default": _signature({"a": a, "b": b}, {"sum": a + b, "product": a * b}, "predict"),
            "strings": _signature(
                {"text": text},
                {
                    "upper": tf.strings.upper(text),
                    "raw_bytes": tf.identity(text),
                    "length": tf.strings.length(text),
                },
                "predict",
            ),
            "scalar": _signature({"a": a}, {"total": tf.reduce_sum(a)}, "predict"),
            "ragged_batch": _signature({"a": a}, {"flat": tf.reshape(a, [-1]), "same": a + 0.0}, "predict"),
            "matmul": _signature({"a": a}, {"out": tf.matmul(a, tf.ones([3, 2]))}, "predict"),
        }
        any_rank = tf1.placeholder(tf.float32, None, name="any_rank")
        signatures |= {
            "any_rank": _signature({"x": any_rank}, {"y": tf.identity(any_rank)}, "predict"),
            "no_rows": _signature({"a": a}, {"y": a[:0]}, "predict"),
            "quantized": _signature({"a": a}, {"y": tf.bitcast(tf.cast(a, tf.uint8), tf.quint8)}, "predict"),
        }
        for dtype in (
            tf.float64, tf.int32, tf.int64, tf.int16, tf.int8, tf.uint8, tf.uint32, tf.uint64, tf.bool, tf.float16,
            tf.bfloat16, tf.complex64, tf.uint16,
        ):  # fmt: skip
            one = tf1.placeholder(dtype, [None], name=f"in_{dtype.name}")
            signatures[f"echo_{dtype.name}"] = _signature({"x": one}, {"y": tf.identity(one)}, "predict")
        return _save(session, folder, signatures)


def slow(folder: Path) -> Path:
    """y = x after as many multiplications of 128x128 matrices as `rounds` says; rows are independent."""
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None], name="x")
        rounds = tf1.placeholder(tf.int32, [None], name="rounds")
        matrix = tf.eye(128)
        _, product = tf.while_loop(
            lambda i, _: i < tf.reduce_max(rounds), lambda i, m: (i + 1, tf.matmul(m, matrix)), [0, matrix]
        )
        y = x * product[0, 0]
        return _save(
            session, folder, {"serving_default": _signature({"x": x, "rounds": rounds}, {"y": y}, "predict")}
        )


class _Images(tf.Module):
    def __init__(self, version: str, threshold: float, bias: float) -> None:
        super().__init__()
        self.version, self.threshold, self.bias = version, threshold, tf.Variable(bias)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes: Any) -> Any:
        mean = tf.map_fn(
            lambda data: tf.reduce_mean(tf.cast(tf.io.decode_jpeg(data, channels=3), tf.float32)),
            image_bytes,
            fn_output_signature=tf.float32,
        )
        probability = tf.clip_by_value(mean / 255 + self.bias, 0.0, 1.0)
        ones = tf.ones_like(probability)
        return {
            "probability": probability,
            "decision": tf.cast(probability >= self.threshold, tf.int64),
            "threshold": ones * self.threshold,
            "zone": tf.where(probability >= self.threshold, "refer", "low"),
            "out_of_distribution": ones * 0,
            "model_version": tf.fill(tf.shape(probability), self.version),
        }


class _Examples(tf.Module):
    """Signatures over tf.Examples as TensorFlow 2 saves them: every method is called predict."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = tf.Variable(0.0)

    def _means(self, examples: Any) -> Any:
        features = tf.io.parse_example(examples, {"image": tf.io.FixedLenFeature([], tf.string)})
        return tf.map_fn(
            lambda data: tf.reduce_mean(
                tf.cast(tf.io.decode_image(data, 3, expand_animations=False), tf.float32)
            ),
            features["image"],
            fn_output_signature=tf.float32,
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(self, inputs: Any) -> Any:
        scores = tf.reshape(self._means(inputs) / 255 + self.bias, [-1, 1])
        return {"scores": scores, "classes": tf.fill(tf.shape(scores), "bright")}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress(self, inputs: Any) -> Any:
        return {"outputs": self._means(inputs) / 255 + self.bias}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def predict(self, examples: Any) -> Any:
        return {"probability": self._means(examples) / 255 + self.bias}


def examples(folder: Path) -> Path:
    """Classify, regress and predict on tf.Examples with an encoded image."""
    module = _Examples()
    signatures = {
        "serving_default": module.classify,
        "classify": module.classify,
        "regress": module.regress,
        "serving_examples": module.predict,
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def images(folder: Path, threshold: float = 0.5, bias: float = 0.0) -> Path:
    """The contract of the released model, with brightness as its probability."""
    module = _Images(folder.name, threshold, bias)
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    return folder
