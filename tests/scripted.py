"""A recogniser whose logits are given, those of a worked example of CR's losses, and a step of any method with them.

The expected numbers of the example were computed with the published code of CR and, for the losses that it does not
have, with NumPy.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import ModelConfig
from jstr.objectives import make_objective
from jstr.objectives.parts.supervised_loss import mean

METHODS = {
    "cr_str": dict(name="cr_str", threshold=0.0, coral_threshold=0.0),
    "uda": dict(name="uda", threshold=0.0),
    "fixmatch": dict(name="fixmatch", threshold=0.0),
    "pseudo_label": dict(name="pseudo_label"),
    "noisy_student": dict(name="pseudo_label", same_view=False, labels="soft"),
    "mean_teacher": dict(name="mean_teacher"),
}
SCRIPTED = ModelConfig((1, 1), 1, 3, 7, first_id=5, pad_id=0, bos_id=2, eos_id=3)


def written(words) -> np.ndarray:
    """Logits [2, 4, 7] from the entries that are not zero."""
    logits = np.zeros((2, 4, 7), np.float32)
    for b, steps in enumerate(words):
        for t, entries in enumerate(steps):
            for c, value in entries.items():
                logits[b, t, c] = value
    return logits


TEACHER = written(
    [
        [{5: 4, 6: 1}, {5: 0.5, 6: 3.5}, {3: 4.2}, {3: 1, 5: 2}],
        [{5: 1, 6: 0.8}, {5: 0.5, 6: 0.6}, {3: 1.2}, {3: 1, 5: 2}],
    ]
)
STUDENT = written(
    [
        [{5: 2, 6: 1.5}, {3: 0.3, 5: 0.5, 6: 2.5}, {3: 2.2, 5: 0.4}, {3: 3}],
        [{5: 1, 6: 0.2}, {5: 0.1, 6: 0.6}, {3: 0.2}, {3: 1}],
    ]
)


class Scripted:
    """A recogniser whose outputs are its parameters: views of width 2 give `teacher`, others `student`.

    It has no state. calls: (teacher or student, whether there were decoder inputs) of each forward pass.
    """

    has_projection = False

    def __init__(self):
        self.calls = []

    def apply(self, variables, images, tokens=None, *, train, **_):
        name = "teacher" if images.shape[2] == 2 else "student"
        self.calls.append((name, tokens is not None))
        outputs = {"logits": variables["params"][name]}
        return (outputs, {}) if train else outputs


class Recording:
    """A recogniser that notes its forward passes: variables, images, tokens and options of each."""

    def __init__(self, model):
        self.model, self.passes = model, []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def apply(self, variables, images, tokens=None, **options):
        self.passes.append(dict(variables=variables, images=images, tokens=tokens, **options))
        return self.model.apply(variables, images, tokens, **options)


def scripted_step(method: str, teacher=TEACHER, step: int = 0, **options):
    """(loss, means of the metrics, calls of the model) of one step of METHODS[method], with these options, too."""
    model = Scripted()
    objective = make_objective(METHODS[method] | options, model, SCRIPTED)
    wide = np.zeros((2, 1, 2, 1), np.float32)
    narrow = wide[:, :, :1]
    fields = {"image": narrow, "view0": narrow, "view1": wide, "weak": wide, "strong": narrow}
    fields |= {"tokens": np.full((2, 5), 3, np.int32), "weight": np.array([1.0, 0.25], np.float32)}
    batch = {stream: {f: fields[f] for f in names} for stream, names in objective.streams.items()}
    both = {"model": {"teacher": jnp.asarray(teacher), "student": jnp.asarray(STUDENT)}}
    loss, (_, metrics) = objective.loss(both, {}, (both, {}), batch, jax.random.PRNGKey(0), step)
    return float(loss), {k: float(mean(v)) for k, v in metrics.items()}, model.calls
