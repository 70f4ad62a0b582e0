"""LSTM, GRU and RNN: each attribute, operand and weight."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.adversary.pairs import Pair, vary, weight

KIND = "recurrent"
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
HIDDEN, INPUT, STEPS = 3, 2, 4


def _arrays(op: str, directions: int = 1) -> dict[str, np.ndarray]:
    wide = GATES[op] * HIDDEN
    return {
        "w": weight((directions, wide, INPUT), 1),
        "r": weight((directions, wide, HIDDEN), 2),
        "b": weight((directions, 2 * wide), 3),
    }


def pairs() -> Iterator[Pair]:
    """All pairs of the family."""
    for op in GATES:
        yield from _one(op)
        yield from _both_ways(op)
    yield from _own()


def _one(op: str) -> Iterator[Pair]:
    sign = f"float[{STEPS},2,{INPUT}] x => float[{STEPS},1,2,{HIDDEN}] y"
    call = f"y = {op}<hidden_size={HIDDEN}{{}}>(x, w, r, b)"
    base, held = call.format(""), _arrays(op)
    wide = GATES[op] * HIDDEN

    def changed(name: str, array: np.ndarray) -> tuple[str, dict[str, dict[str, np.ndarray]]]:
        return base, {"constants": held | {name: np.ascontiguousarray(array)}}

    near = held["r"].copy()
    near[0, -1, -1] *= np.float32(1.05)
    differ = {
        "reverse": call.format(', direction="reverse"'), "clip": call.format(", clip=0.3"),
        "recurrent_weight": changed("r", near), "no_bias": base.replace(", b)", ")"),
        "recurrent_transposed": changed("r", held["r"].reshape(-1, HIDDEN, HIDDEN).swapaxes(1, 2)
                                        .reshape(1, wide, HIDDEN)),
        "zero_recurrence": changed("r", held["r"] * 0),
        "initial": f"h = Expand('0.5', '[1, 2, {HIDDEN}]i'); " + base.replace(", b)", ", b, , h)"),
        "lengths": base.replace(", b)", ", b, '[4, 2]w')"),
        "input_twice": "d = Mul(x, '2'); " + base.replace("(x,", "(d,"),
        "last_everywhere": f"y0, l = {base[4:]}; u = Unsqueeze(l, '[0]i'); "
        f"y = Expand(u, '[{STEPS}, 1, 2, {HIDDEN}]i')",
    }  # fmt: skip
    if GATES[op] > 1:
        differ["gates"] = changed("w", np.roll(held["w"], HIDDEN, 1))
    equal = {
        "defaults": call.format(', direction="forward"'),
        "bias_halves": changed("b", np.concatenate([
            held["b"][:, :wide] + held["b"][:, wide:], held["b"][:, wide:] * 0], axis=1,
        )) if op != "GRU" else call.format(", linear_before_reset=0"),
        "zeros": f"h = Expand('0', '[1, 2, {HIDDEN}]i'); " + base.replace(", b)", ", b, , h)"),
        "full_lengths": base.replace(", b)", f", b, '[{STEPS}, {STEPS}]w')"),
    }  # fmt: skip
    yield from vary(
        KIND, op, sign, base, made={"constants": held}, differ=differ, equal=equal, wide=False
    )
    last = f"float[{STEPS},2,{INPUT}] x => float[1,2,{HIDDEN}] y"
    full = f"a, y = {base[4:]}"
    yield from vary(
        KIND, f"{op}.last", last, full, made={"constants": held}, wide=False,
        differ={"first": f"a = {base[4:]}; y = Gather<axis=0>(a, '0i')"},
        equal={"taken": f"a = {base[4:]}; y = Gather<axis=0>(a, '-1i')"},
    )  # fmt: skip


def _both_ways(op: str) -> Iterator[Pair]:
    sign = f"float[{STEPS},2,{INPUT}] x => float[{STEPS},2,2,{HIDDEN}] y"
    held = _arrays(op, 2)
    base = f'y = {op}<hidden_size={HIDDEN}, direction="bidirectional">(x, w, r, b)'
    swapped = {k: np.ascontiguousarray(v[::-1]) for k, v in held.items()}
    parts = "".join(f"{k}0, {k}1 = Split<axis=0, num_outputs=2>({k}); " for k in held)
    forward = f"p = {op}<hidden_size={HIDDEN}>(x, w0, r0, b0); "
    backward = f'q = {op}<hidden_size={HIDDEN}, direction="reverse">(x, w1, r1, b1); '
    yield from vary(
        KIND, f"{op}.bidirectional", sign, base, made={"constants": held}, wide=False,
        differ={"swapped": (base, {"constants": swapped}),
                "order": f"a = {base[4:]}; y = Gather<axis=1>(a, '[1, 0]i')",
                "forward_twice": parts + forward + backward.replace("reverse", "forward")
                + "y = Concat<axis=1>(p, q)"},
        equal={"apart": parts + forward + backward + "y = Concat<axis=1>(p, q)"},
    )  # fmt: skip


def _own() -> Iterator[Pair]:
    """What only one of the three has."""
    sign = f"float[{STEPS},2,{INPUT}] x => float[{STEPS},1,2,{HIDDEN}] y"
    gru = f"y = GRU<hidden_size={HIDDEN}{{}}>(x, w, r, b)"
    yield from vary(
        KIND, "GRU.reset", sign, gru.format(""), made={"constants": _arrays("GRU")}, wide=False,
        differ={"linear": gru.format(", linear_before_reset=1"),
                "activations": gru.format(', activations=["Sigmoid", "Relu"]')},
        equal={"same": gru.format(', activations=["Sigmoid", "Tanh"]')},
    )  # fmt: skip
    rnn = f"y = RNN<hidden_size={HIDDEN}{{}}>(x, w, r, b)"
    yield from vary(
        KIND, "RNN.activation", sign, rnn.format(""), made={"constants": _arrays("RNN")},
        wide=False,
        differ={"relu": rnn.format(', activations=["Relu"]'),
                "sigmoid": rnn.format(', activations=["Sigmoid"]')},
        equal={"tanh": rnn.format(', activations=["Tanh"]')},
    )  # fmt: skip
    lstm = f"y = LSTM<hidden_size={HIDDEN}{{}}>(x, w, r, b{{}})"
    peephole = f", , , , '#1x{3 * HIDDEN}'"
    yield from vary(
        KIND, "LSTM.own", sign, lstm.format("", ""), made={"constants": _arrays("LSTM")},
        wide=False,
        differ={"coupled": lstm.format(", input_forget=1", ""),
                "peephole": lstm.format("", peephole),
                "activations": lstm.format(', activations=["Sigmoid", "Relu", "Tanh"]', ""),
                "cell": f"c = Expand('0.5', '[1, 2, {HIDDEN}]i'); " + lstm.format("", ", , , c")},
        equal={"no_peephole": f"p = Expand('0', '[1, {3 * HIDDEN}]i'); "
               + lstm.format("", ", , , , p")},
    )  # fmt: skip
    state = f"float[{STEPS},2,{INPUT}] x => float[1,2,{HIDDEN}] y"
    yield from vary(
        KIND, "LSTM.state", state, lstm.format("", "").replace("y =", "a, y ="),
        made={"constants": _arrays("LSTM")}, wide=False,
        differ={"cell": lstm.format("", "").replace("y =", "a, h, y =")},
    )  # fmt: skip
