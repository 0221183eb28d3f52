"""The study as a page: its tables, figures and prose, from the results and the profiles alone."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from offramp import EstimatedPlan, Profile, read_profile, read_topology
from offramp.files.writing import replace_files
from offramp.nn.profiling import partition_fit
from offramp.view.text import bits, percent, seconds
from studies.edgesys22 import cases, figures, prediction, results
from studies.edgesys22.results import Results
from studies.edgesys22.schedule import FROM_SCRATCH

_TEMPLATE = "README.md.j2"
_FLOATS = 4  # times as large is an image of 32-bit floats as one of bytes
# The paper's case I: blocks 1 to 6, all samples, in 3309 ms. On the watch, 500 times as slow as the reference, that is:
_CASE_I_S = 3.309 / 500


@dataclass(frozen=True, slots=True)
class Variant:
    """A profile seen in another way, to tell where a difference to the paper comes from."""

    name: str
    profile: Profile


def write(found: Results, folder: Path) -> None:
    """Write README.md and its figures into `folder`, where the profiles are."""
    profiles = {key: read_profile(results.profile_path(folder, key)) for key in found.trained}
    pictures = folder / "figures"
    pictures.mkdir(exist_ok=True)
    first = profiles[results.SHIPPED]
    figures.draw_branches(
        [figures.BranchesPicture.of(profiles[key], each.title) for key, each in found.trained.items()],
        pictures / "branches.png",
    )
    figures.draw_figure_3(found.trials, pictures / "figure-3.png")
    for number, topology in ((4, "mobile"), (5, "iot")):
        picture = figures.PlansPicture.of(first, topology, cases.CASES)
        figures.draw_plans(picture, pictures / f"figure-{number}.png")
    replace_files({folder / "README.md": text(found, profiles).encode()})


def text(found: Results, profiles: Mapping[str, Profile]) -> str:
    """The page as Markdown.

    profiles: by subject, as `found.trained` has them.
    """
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    first = profiles[results.SHIPPED]
    others = [Variant(each.title, profiles[key]) for key, each in found.trained.items() if key != results.SHIPPED]
    agreements = {name: _agreements(found, name) for name in prediction.ESTIMATORS}
    ranked = sorted(prediction.BEFORE, key=lambda name: agreements[name]["accuracy"]["mean_error"])
    seen = variants(first)
    template = (Path(__file__).parent / _TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(
        found=found,
        spent_h=sum(found.spent_s.values()) / 3600,
        provenance=first.provenance,
        date=datetime.datetime.fromisoformat(str(first.provenance["date"])).date().isoformat(),
        repeats=" or ".join(dict.fromkeys(str(each.provenance["partition_repeats"]) for each in profiles.values())),
        fine_tuned=found.trained[results.SHIPPED].epochs.final < FROM_SCRATCH,
        training=_training(found, profiles),
        branches=[(each.title, _branches(profiles[key])) for key, each in found.trained.items()],
        exit_rates=[(each.title, _exit_rates(profiles[key])) for key, each in found.trained.items()],
        figure_3=_figure_3(agreements),
        agreements=agreements,
        best=ranked[0],
        next_best=ranked[1],
        after=prediction.AFTER,
        case_i={
            "paper": seconds(_CASE_I_S),
            "engine": seconds(_six_blocks_s(first)),
            "torch": seconds(_six_blocks_s(seen[1].profile)),
        },
        case_ii=_plans(cases.answer(cases.CASES[1], seen[-1].profile) or ()) or "that none is fast enough",
        input=_input(first),
        last=_last_blocks(first),
        cases=_cases([*seen, *others]),
        effects=_effects(first),
        sums=[(each.title, _sums(profiles[key])) for key, each in found.trained.items()],
    )


def variants(profile: Profile) -> list[Variant]:
    """The profile as measured, and three steps to what the paper had: its engine, its images, its speed."""
    slower = replace(profile, reference_device=f"{profile.reference_device}-torch-1thread")
    floats = _FLOATS * slower.backbone.input_bits
    larger = replace(slower, backbone=replace(slower.backbone, input_bits=floats))
    return [
        Variant("as measured", profile),
        Variant("in PyTorch", slower),
        Variant("and images as floats", larger),
        Variant("and as slow as case I says", _slowed(larger, _CASE_I_S / _six_blocks_s(larger))),
    ]


def _six_blocks_s(profile: Profile) -> float:
    """What blocks 1 to 6 and their branch take on the reference device."""
    timing = profile.timings[str(profile.reference_device)]
    assert timing.partition_s is not None
    return float(timing.partition_s[0, 5])


def _input(profile: Profile) -> dict[str, str]:
    """How large an image is, and how long it takes on the mobile topology's first link: as bytes and as floats."""
    size, link = profile.backbone.input_bits, read_topology("mobile").links[0]
    as_bytes, as_floats = (link.latency_s + each / link.bandwidth_bits_per_s for each in (size, _FLOATS * size))
    return {"bits": bits(size), "link_s": seconds(as_bytes), "float_link_s": seconds(as_floats)}


def _last_blocks(profile: Profile) -> dict[str, str]:
    """The last branch's accuracy, and what the last three blocks gain."""
    assert profile.exits is not None
    assert profile.exits.joint_accuracy is not None
    accuracy = profile.exits.joint_accuracy
    return {"joint": percent(accuracy[-1]), "gain": f"{100 * (accuracy[-1] - accuracy[-4]):.1f}"}


def _slowed(profile: Profile, factor: float) -> Profile:
    """The profile with all times of the reference device's computing times a factor."""
    device = str(profile.reference_device)
    timing = profile.timings[device]
    slowed = replace(
        timing,
        **{
            name: None if values is None else factor * values
            for name in ("block_s", "branch_s", "partition_s", "block_spread_s", "branch_spread_s")
            for values in [getattr(timing, name)]
        },
    )
    return replace(profile, timings={**profile.timings, device: slowed})


def _training(found: Results, profiles: Mapping[str, Profile]) -> str:
    rows = []
    for key, each in found.trained.items():
        profile = profiles[key]
        samples, training = profile.provenance["samples"], profile.provenance["training"]
        rates = dict.fromkeys(f"{training[name]['learning_rate']:g}" for name in ("joint", "separate"))
        assert profile.exits is not None
        assert profile.exits.joint_accuracy is not None
        rows.append(
            (
                each.title,
                " / ".join(f"{samples[name]:,}" for name in ("train", "validation", "test")),
                f"{each.epochs.joint} / {each.epochs.separate}"
                + (f" / {each.epochs.final}" if each.epochs.final else ""),
                f"{training['joint']['batch_size']}",
                " / ".join(rates),
                percent(profile.exits.joint_accuracy[-1]),
                percent(each.test_accuracy[-1]),
                percent(profile.exits.accuracy[-1]),
            )
        )
    columns = ("", "images: train / validation / held out", "epochs: joint / alone / final", "batch", "rate")
    return _table((*columns, "last branch, validation", "held out", "trained alone, validation"), rows)


def _branches(profile: Profile) -> str:
    rates, device = profile.exits, profile.reference_device
    assert rates is not None
    assert rates.joint_accuracy is not None
    engine, torch = profile.timings[str(device)], profile.timings[f"{device}-torch-1thread"]
    assert engine.partition_s is not None
    assert torch.partition_s is not None
    rows = [
        (
            f"{i + 1} {block.name}",
            bits(block.output_bits),
            seconds(float(engine.partition_s[0, i])),
            seconds(float(torch.partition_s[0, i])),
            percent(rates.joint_accuracy[i]),
            percent(rates.accuracy[i]),
        )
        for i, block in enumerate(profile.backbone.blocks)
    ]
    return _table(("block", "output", "1..i, ONNX Runtime", "1..i, PyTorch", "joint", "alone"), rows)


def _exit_rates(profile: Profile) -> str:
    rates = profile.exits
    assert rates is not None
    columns = ("T", *(str(i + 1) for i in range(len(profile.backbone.blocks))))
    rows = [
        (f"{threshold:.2f}", *(f"{100 * share:.1f}" for share in row))
        for threshold, row in zip(rates.thresholds, rates.exit_rate, strict=True)
    ]
    return _table(columns, rows)


def _agreements(found: Results, name: str) -> dict[str, dict[str, float]]:
    return {
        "accuracy": asdict(prediction.accuracy_agreement(found.trials, name, averaged=True)),
        "each": asdict(prediction.accuracy_agreement(found.trials, name, averaged=False)),
        "rates": asdict(prediction.exit_rate_agreement(found.trials, name, averaged=True)),
    }


def _figure_3(agreements: Mapping[str, dict[str, dict[str, float]]]) -> str:
    rows = []
    for name, told in agreements.items():
        rows.append(
            (
                name,
                f"{told['accuracy']['slope']:.2f}",
                f"{told['accuracy']['r2']:.3f}",
                *(f"{told['accuracy'][entry]:.2f}" for entry in ("mean_error", "worst_error")),
                f"{told['accuracy']['bias']:+.2f}",
                *(f"{told['each'][entry]:.2f}" for entry in ("mean_error", "worst_error")),
                *(f"{told['rates'][entry]:.2f}" for entry in ("mean_error", "worst_error")),
            )
        )
    columns = ("accuracy by", "slope", "R²", "mean error", "worst", "bias")
    return _table((*columns, "each T: mean", "each T: worst", "exit rates: mean", "worst"), rows)


def _cases(seen: Sequence[Variant]) -> list[tuple[str, str]]:
    """(the case, the paper's answer and ours)."""
    found = []
    for case in cases.CASES:
        rows = [("the paper", case.paper, "", "")]
        for variant in seen:
            answers = cases.answer(case, variant.profile) or ()
            rows += [
                (variant.name if at == 0 else "", f"`{each.plan}`", *_achieved(each)) for at, each in enumerate(answers)
            ]
            if not answers:
                rows.append((variant.name, "none is fast enough", "", ""))
        title = f"{case.number}. {case.title}"
        found.append((title, _table(("", "plan", "latency", "accuracy"), rows, numeric=False)))
    return found


def _achieved(estimated: EstimatedPlan) -> tuple[str, str]:
    return seconds(estimated.estimate.latency_s), percent(estimated.estimate.accuracy)


def _effects(profile: Profile) -> list[tuple[str, str, str]]:
    """(case, under what change its effect is there, the plans)."""
    found = []
    for case in cases.CASES:
        effect = cases.demonstrate(case, profile)
        if effect is None:
            found.append((case.number, "not there, whatever the speed of devices and links", ""))
        elif (effect.devices, effect.links) == (1, 1):
            found.append((case.number, "there, as measured", _plans(effect.plans)))
        else:
            change = f"there with slowdowns x {effect.devices:.3g} and bandwidths x {effect.links:.3g}"
            found.append((case.number, change, _plans(effect.plans)))
    return found


def _plans(plans: tuple[EstimatedPlan, ...]) -> str:
    return " and ".join(f"`{each.plan}` ({', '.join(_achieved(each))})" for each in plans)


def _sums(profile: Profile) -> str:
    """How wrong sums of blocks are for each partition that was measured as one."""
    rows = []
    for device, timing in profile.timings.items():
        if timing.block_s is None or timing.branch_s is None or timing.partition_s is None:
            continue
        ends = partition_fit.pairs(timing.blocks)
        wholes = np.array([timing.partition_s[first - 1, last - 1] for first, last in ends])
        wrong = partition_fit.errors(partition_fit.sums(timing.block_s, timing.branch_s, ends) - wholes, wholes)
        rows.append(
            (device, f"{len(ends)}", seconds(float(wholes.mean())), seconds(wrong.rmse_s), percent(wrong.error))
        )
    return _table(("device", "partitions", "mean time", "RMSE of sums", "mean error of sums"), rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: bool = True) -> str:
    """Rows as a table of Markdown, every column but the first to the right if they are numbers."""
    rules = ["---", *(["---:" if numeric else "---"] * (len(columns) - 1))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rules, *rows))
