"""`feller plan RECIPE`: what a training run would take, without the device."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from feller.core.commands.train import parse_recipe

__all__ = ["run"]

NAMES = ("h100", "h200", "a100", "l40s", "l4", "rtx4090", "cpu")
DAY = 86_400


def run(argv: Sequence[str]) -> None:
    """Print the memory, the time and the settings that would fit."""
    parser = argparse.ArgumentParser(
        "feller plan",
        description="Estimate what a training run takes on devices that you need not have: memory, "
        "time, and which settings fit. Takes every flag of `feller train RECIPE`.",
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="a recipe, such as images/cifar10-flow")
    parser.add_argument("--gpus", type=int, default=1, help="number of devices (default: 1)")
    parser.add_argument(
        "--device",
        choices=NAMES,
        default="h100",
        help="type of device; `cpu` measures this machine's CPU (default: h100)",
    )
    parser.add_argument(
        "--utilisation",
        type=float,
        help="fraction of a device's peak rate that matrix products reach (default: 0.4, which "
        "is typical; 1 for cpu, whose rate is measured)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON, sizes in bytes (default: text)"
    )
    options, flags = parser.parse_known_args(argv)
    from feller.core.training.planning import DEVICES, measured_cpu, plan_of

    recipe = parse_recipe(options.recipe, flags, command="plan")
    if recipe.model.sized_by_data:
        recipe = recipe.model.completed(recipe, recipe.data.build("train")).recipe
    here = options.device == "cpu"
    device = measured_cpu() if here else DEVICES[options.device]
    asked, usual = options.utilisation, 1.0 if here else 0.4
    used = usual if asked is None else asked
    plan = plan_of(recipe, device, count=options.gpus, utilisation=used)
    print(json.dumps(_facts(plan), indent=2) if options.json else _page(options.recipe, plan))


def _facts(plan: Any) -> dict[str, Any]:
    """Return what is planned, in bytes and seconds."""
    seconds = plan.seconds()
    several = {"ddp": replace(plan, sharded=False), "fsdp": replace(plan, sharded=True)}
    ways = several if plan.count > 1 else {"one": plan}
    return {
        "device": plan.device.name,
        "devices": plan.count,
        "utilisation": plan.utilisation,
        "parameters": plan.trace.parameters,
        "flops_a_step": plan.flops,
        "samples_at_once": plan.samples,
        "memory": {name: way.memory() | {"fits": way.fits()} for name, way in ways.items()},
        "seconds_a_step": seconds,
        "samples_a_day": plan.recipe.training.batch_size * DAY / seconds,
        "tokens_a_day": plan.trace.tokens * plan.recipe.training.batch_size * DAY / seconds,
        "days": plan.recipe.training.steps * seconds / DAY,
    }


def _page(name: str, plan: Any) -> str:
    """Return the plan as Markdown."""
    training, seconds, device = plan.recipe.training, plan.seconds(), plan.device
    rate = device.half if plan.half else device.single
    speed = training.batch_size * DAY / seconds
    rows = [
        ("parameters", f"{plan.trace.parameters / 1e6:.2f} million"),
        ("operations of a step", f"{plan.flops / 1e12:.4g} TFLOPs, {training.batch_size} samples"),
        ("samples at once on a device", f"{plan.samples}"),
    ]
    if plan.count == 1:
        rows.append(("memory", _memory(plan)))
    else:
        rows.append(("memory of a device, whole (DDP)", _memory(replace(plan, sharded=False))))
        rows.append(("memory of a device, sharded (FSDP)", _memory(replace(plan, sharded=True))))
    limit = f"at {plan.utilisation:.0%} of {rate / 1e12:.3g} TFLOP/s"
    limit += f" and {device.bandwidth / 1e9:.0f} GB/s"
    if plan.waits:
        limit = f"the launches of {plan.trace.calls + plan.trace.update_calls:,} operations"
    rows += [
        ("a step", f"{seconds:.3g} s, {limit}"),
        ("samples a day", f"{speed / 1e6:.4g} million"),
    ]
    if plan.trace.tokens:
        rows.append(("tokens a day", f"{plan.trace.tokens * speed / 1e9:.4g} billion"))
    days = training.steps * seconds / DAY
    rows.append((f"{training.steps:,} steps", f"{days:.3g} days"))
    lines = [f"## {name} on {plan.count} x {device.name}", "", "|  |  |", "|---|---|"]
    lines += [f"| {a} | {b} |" for a, b in rows]
    return "\n".join([*lines, "", *_settings(plan)])


def _memory(plan: Any) -> str:
    found = plan.memory()
    parts = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in found.items())
    said = "fits" if plan.fits() else "does not fit"
    total = sum(found.values()) / 1e9
    return f"{total:.2f} GB, {said} in {plan.device.memory / 1e9:.0f}: {parts}"


def _settings(plan: Any) -> list[str]:
    """Say what else would fit, and what it costs."""
    other = [(flags, each) for flags, each in plan.settings() if each.fits()]
    if not other:
        fits = plan.fits()
        return ["It fits as it is." if fits else "Nothing fits: give more or larger devices."]
    lines = ["It fits as it is." if plan.fits() else "It does not fit as it is. These do:"]
    if plan.fits():
        lines.append("Other settings that fit:")
    for flags, each in other:
        size = sum(each.memory().values()) / 1e9
        lines.append(f"- `{flags}`: {size:.2f} GB, {each.seconds():.3g} s a step")
    return lines
