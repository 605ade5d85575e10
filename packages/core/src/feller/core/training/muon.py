r"""Muon: momentum whose matrices are made orthogonal, and AdamW for all that is not a matrix.

For a weight matrix with gradient G the step is along :math:`U V^T` of the momentum's singular value
decomposition :math:`U S V^T`, so that every direction of the matrix learns at the same speed. Five
Newton-Schulz iterations, in the precision of the weights, come near enough to it. Times
:math:`0.2 \sqrt{\max(m, n)}` the entries of the step are as large as AdamW's, so that both have one
learning rate. A matrix whose rows are split among processes is gathered for it.

torch's own `Muon` takes matrices only and iterates in bfloat16, which CPUs do slowly.

Sources: Jordan, kellerjordan.github.io/posts/muon, 2024, for the method and its coefficients; Liu
et al., arXiv 2502.16982, section 2.2, for the scale and the weight decay.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from feller.core.nn.shards import full, split_like

__all__ = ["Muon", "matrices", "orthogonal"]

_LONGEST = 16
"""A matrix is a hidden one when it is at most so many times longer than wide."""


class Muon(torch.optim.Optimizer):
    """Muon on the matrices of a model, AdamW on the rest.

    Args:
        model: Its linear and convolution layers have the matrices; embeddings and the heads of
            large vocabularies are no such.
        lr: Learning rate of both.
        betas: Decays of AdamW's moments.
        weight_decay: Decoupled weight decay of both.
        momentum: Decay of the momentum of matrices.

    Example:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> optimizer = Muon(model, lr=0.1)
        >>> _ = nn.init.eye_(model.weight)
        >>> model(torch.ones(1, 2)).square().sum().backward()
        >>> optimizer.step()
        >>> bool(torch.det(model.weight) < 1)
        True
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        chosen = matrices(model)
        known = {id(p) for p in chosen}
        rest = [p for p in model.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [{"params": p} for p in (chosen, rest) if p]
        for group in groups:
            group["rule"] = "muon" if group["params"] is chosen else "adamw"
        common = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(groups, common)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore
        """Take a step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            for p in weights:
                p.mul_(1 - group["lr"] * group["weight_decay"])
            if group["rule"] == "muon":
                _turn(weights, self.state, group)
                continue
            for p in weights:
                _adapt(p, p.grad, self.state[p], group)
        return loss


def matrices(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights of a model's linear and convolution layers that are hidden matrices."""
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)
    tied = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    found = {
        id(p): p
        for module in model.modules()
        if isinstance(module, layers)
        for p in module.parameters(recurse=False)
        if p.ndim > 1 and id(p) not in tied
    }
    return [p for p in found.values() if max(_sides(p)) <= _LONGEST * min(_sides(p))]


def orthogonal(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """Return about U V^T of a matrix U S V^T: its singular values become 0.7 to 1.2.

    Example:
        >>> q = orthogonal(torch.tensor([[3.0, 0.0], [0.0, 0.1]]))
        >>> bool(((q.diagonal() > 0.6) & (q.diagonal() < 1.3)).all())
        True
    """
    return _orthogonal([matrix], steps)[0]


def _orthogonal(matrices: Sequence[Tensor], steps: int = 5) -> list[Tensor]:
    """Return about U V^T of matrices that have their shorter side in common.

    Each iteration multiplies a matrix by a polynomial of its Gram matrix: the product of these is
    made on the short side alone, which costs half of what iterating on the matrix does, and for all
    matrices at once: one alone is too small for several threads.
    """
    wide = [m if m.shape[0] <= m.shape[1] else m.T for m in matrices]
    unit = [m / m.norm().clamp_min(1e-7) for m in wide]
    gram = torch.stack([x @ x.T for x in unit])
    factor = turn = _factor(gram)
    for _ in range(steps - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        turn = factor @ turn
    made = [t @ x for t, x in zip(turn, unit, strict=True)]
    return [x if w is m else x.T for x, w, m in zip(made, wide, matrices, strict=True)]


def _factor(gram: Tensor) -> Tensor:
    """Return the polynomial of Gram matrices by which an iteration multiplies."""
    factor = torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
    factor.diagonal(dim1=-2, dim2=-1).add_(3.4445)
    return factor


def _turn(weights: Sequence[Tensor], states: Mapping[Any, Any], group: dict[str, Any]) -> None:
    """Step matrices along their orthogonal momentum, with Nesterov's look ahead."""
    ahead: dict[int, list[tuple[Tensor, Tensor]]] = {}
    for p in weights:
        gradient, momentum = p.grad, states[p].setdefault("momentum", torch.zeros_like(p))
        assert gradient is not None
        momentum.lerp_(gradient, 1 - group["momentum"])
        matrix = full(gradient.lerp(momentum, group["momentum"])).flatten(1)
        ahead.setdefault(min(matrix.shape), []).append((p, matrix))
    for pairs in ahead.values():
        turned = _orthogonal([matrix for _, matrix in pairs])
        for (p, _), q in zip(pairs, turned, strict=True):
            turn = split_like(q.reshape(p.shape), p)
            p.add_(turn, alpha=-group["lr"] * 0.2 * math.sqrt(max(_sides(p))))


def _adapt(p: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """Take AdamW's step."""
    if not state:
        state["step"] = torch.zeros(())
        state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
    state["step"] += 1
    first, second = group["betas"]
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
    number = float(state["step"])
    spread = (state["square"] / (1 - second**number)).sqrt().add_(1e-8)
    p.addcdiv_(state["mean"], spread, value=-group["lr"] / (1 - first**number))


def _sides(p: Tensor) -> tuple[int, int]:
    return p.shape[0], p.shape[1:].numel()
