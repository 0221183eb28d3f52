"""Profiles: JSON, with an exit table beside it, to `core.profile.Profile` and back."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from offramp.core.backbone import Backbone
from offramp.core.checks import IntArray
from offramp.core.codec import Codec, InputCodec
from offramp.core.encoded import Encoded, EncodedInput
from offramp.core.exit_table import ExitTable
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.score import Score, ScoreName
from offramp.core.timing import Timing
from offramp.errors import Fault, InputError, fail, refuse
from offramp.files.checking import attempt, check, merged
from offramp.files.measured import BLANK_BLOCK, MOST_BLOCKS, ProfileDocument, blocks_timed
from offramp.files.parsing import parse_json
from offramp.files.sizes import read_sizes, sizes_bytes
from offramp.files.sources import locate, naming, read_text
from offramp.files.tables import is_table, read_table, table_bytes
from offramp.files.writing import json_text, replace_files, target

FORMAT = "profile/1"
MOST_BYTES = 1 << 26


def read_profile(source: str | Path) -> Profile:
    """The profile in a JSON file with the exit table it names, or the shipped one of that name.

    Raises `InputError` with every fault of the document and of the table.
    """
    with naming(source):
        path = locate(source, "profiles")
        raw, faults = parse_json(read_text(path, most=MOST_BYTES))
        document, more = check(ProfileDocument, raw, strict=True)
        faults = merged(faults, more)
        table = attempt(faults, "exit_table", _table, raw, raw, path.parent)
        tables = {
            name: attempt(faults, f"codecs.{name}.exit_table", _table, entry, raw, path.parent)
            for name, entry in _mapping(raw, "codecs").items()
        }
        of_inputs = {
            name: attempt(faults, f"inputs.{name}.exit_table", _table, entry, raw, path.parent)
            for name, entry in _mapping(raw, "inputs").items()
        }
        sizes = attempt(faults, "sizes", _sizes, raw, path.parent) or {}
        if document is None or faults:
            faults = merged(faults, _relation_faults(raw))
            raise InputError(faults)
        codecs: dict[Codec, Encoded] = {}
        for name, entry in document.codecs.items():
            encoded = attempt(faults, f"codecs.{name}", entry.core, tables[name], sizes.get(name))
            if encoded is not None:
                codecs[Codec(name)] = encoded
        inputs: dict[InputCodec, EncodedInput] = {}
        for input_name, sent in document.inputs.items():
            if input_name not in sizes:
                faults.append(
                    Fault(f"inputs.{input_name}", "has no sizes", f"name a file under sizes that holds {input_name}")
                )
                continue
            encoded_input = attempt(faults, f"inputs.{input_name}", sent.core, sizes[input_name], of_inputs[input_name])
            if encoded_input is not None:
                inputs[InputCodec(input_name)] = encoded_input
        refuse(faults)
        return document.core(table, codecs, inputs)


def _mapping(raw: Any, key: str) -> dict[str, Any]:
    entries = raw.get(key) if isinstance(raw, dict) else None
    return entries if isinstance(entries, dict) else {}


def _sizes(raw: Any, folder: Path) -> dict[str, IntArray]:
    """The sizes that the document names; none where it names no file."""
    name = raw.get("sizes") if isinstance(raw, dict) else None
    return read_sizes(_beside(name, folder)) if isinstance(name, str) else {}


def _beside(name: str, folder: Path) -> Path:
    """The file of that name. Raises `InputError` for one that is not in the folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        fail("", f"{name!r} leads out of the profile's folder", "give a file beside the profile")
    return folder / name


def _table(entry: Any, raw: Any, folder: Path) -> ExitTable | None:
    """The exit table that an entry of the document names; None where it names none."""
    name = entry.get("exit_table") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        return None
    return read_table(_beside(name, folder), blocks=_size(raw, "backbone", "blocks"))


def _relation_faults(raw: Any) -> list[Fault]:
    """What is wrong between the pieces of a document, some of which can't be built.

    The core knows how the pieces must fit together; it is asked with blank pieces of the same sizes. A piece whose
    size can't be read is taken to fit.
    """
    faults: list[Fault] = []
    if not isinstance(raw, dict):
        return faults
    n = _size(raw, "backbone", "blocks")

    def fitting(size: int | None) -> int:
        return min(size if n and size is not None else n or 1, MOST_BLOCKS + 1)

    timings, reference = raw.get("timings"), raw.get("reference_device")
    named = reference if isinstance(reference, str) else None
    sizes = (
        {device: fitting(_size_timed(timing)) for device, timing in timings.items()}
        if timings and isinstance(timings, dict)
        else {named or "": fitting(n)}
    )
    blanks = {size: _blank_timing(size) for size in set(sizes.values())}
    attempt(
        faults,
        "",
        Profile,
        backbone=Backbone("", "", 1, 1, (BLANK_BLOCK,) * fitting(n)),
        timings={device: blanks[size] for device, size in sizes.items()},
        reference_device=named,
        exits=None if raw.get("exits") is None else _blank_exits(fitting(_size(raw, "exits", "accuracy"))),
        exit_table=None if raw.get("exit_table") is None else _blank_table(fitting(n)),
    )
    return faults


def _blank_timing(n: int) -> Timing:
    return Timing(np.zeros(n), np.zeros(n), None, np.zeros(n + 2), np.zeros(n + 2))


def _blank_exits(n: int) -> ExitRates:
    return ExitRates(np.zeros(1), Meaning.MARGINAL, np.zeros((1, n)), np.zeros(n), 1)


def _blank_table(n: int) -> ExitTable:
    return ExitTable(np.zeros((n, 2), np.float32), np.zeros((n, 2), np.bool_), np.zeros(2, np.int64))


def _size(raw: Any, *keys: str) -> int | None:
    """How long the list under the keys is; None where there is none."""
    for key in keys:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return len(raw) if isinstance(raw, list) else None


def _size_timed(timing: Any) -> int | None:
    if not isinstance(timing, dict):
        return None
    block_s, rows = timing.get("block_s"), timing.get("partition_s")
    if isinstance(block_s, list):
        return len(block_s)
    well_formed = [row for row in rows if isinstance(row, list) and len(row) == 3] if isinstance(rows, list) else []
    return blocks_timed(None, [row for row in well_formed if isinstance(row[1], int | float)]) or None


def write_profile(profile: Profile, path: str | Path) -> None:
    """Write `x.json` and what goes beside it, as `x.npz` and `x.fp16.npz`, so that `read_profile` reads them back.

    Either file is replaced whole or not at all, the table first. Raises `InputError` where that can't be.
    """
    path = target(path)
    table = path.with_suffix(".npz")
    if table == path:
        fail("path", f"{str(path)!r} is the name of an exit table", "end it with .json")
    check_tables(path)
    # What compression adds loses nothing, and has the same table.
    encoded = {codec: path.with_suffix(f".{codec.plain.value}.npz") for codec in profile.codecs}
    lossy = {codec: sent.exit_table for codec, sent in profile.inputs.items() if sent.exit_table is not None}
    of_inputs = {codec: path.with_suffix(f".{codec.value}.npz") for codec in lossy}
    sizes = path.with_suffix(".sizes.npz")
    names = {codec.value: file.name for codec, file in (*encoded.items(), *of_inputs.items())}
    held: dict[str, IntArray] = {codec.value: sent.bits for codec, sent in profile.inputs.items()}
    held |= {codec.value: each.bits for codec, each in profile.codecs.items() if each.bits is not None}
    document = _document(profile, table.name, names, sizes.name if held else None)
    try:
        text = json_text(document)
    except (TypeError, ValueError) as error:
        fail("provenance", f"can't be written as JSON: {error}", "use text, finite numbers, lists and mappings")
    contents = {} if profile.exit_table is None else {table: table_bytes(profile.exit_table)}
    contents |= {file: table_bytes(profile.codecs[codec].exit_table) for codec, file in encoded.items()}
    contents |= {file: table_bytes(lossy[codec]) for codec, file in of_inputs.items()}
    if held:
        contents[sizes] = sizes_bytes(held)
    replace_files({**contents, path: text.encode()})


def check_tables(path: Path) -> None:
    """Raise `InputError` where exit tables beside a profile of that path would take the place of other archives."""
    for suffix in (".npz", *(f".{codec.value}.npz" for codec in (*Codec, *InputCodec))):
        beside = path.with_suffix(suffix)
        if beside.exists() and not is_table(beside):
            problem = f"its exit table would take the place of {beside.name}, which is another archive"
            fail("path", problem, f"give another name than {path.name}, or move {beside.name}")


def _document(profile: Profile, table_name: str, names: dict[str, str], sizes_name: str | None) -> dict[str, Any]:
    """The profile as JSON; `names` are of the exit tables by codec."""
    exits = profile.exits
    document = {
        "offramp": FORMAT,
        "backbone": {
            **dataclasses.asdict(profile.backbone),
            "blocks": [_present(**dataclasses.asdict(block)) for block in profile.backbone.blocks],
        },
        "timings": {device: _timing_document(timing) for device, timing in profile.timings.items()},
        "reference_device": profile.reference_device,
        "exits": None
        if exits is None
        else _present(
            thresholds=exits.thresholds,
            meaning=exits.meaning.value,
            exit_rate=exits.exit_rate,
            accuracy=exits.accuracy,
            samples=exits.samples,
            joint_accuracy=exits.joint_accuracy,
        ),
        "exit_table": None if profile.exit_table is None else table_name,
        "codecs": {
            codec.value: {
                "exit_table": names[codec.value],
                "serialize_s": {device: values.tolist() for device, values in encoded.serialize_s.items()},
                "deserialize_s": {device: values.tolist() for device, values in encoded.deserialize_s.items()},
            }
            for codec, encoded in profile.codecs.items()
        }
        or None,
        "inputs": {
            codec.value: _present(
                exit_table=names.get(codec.value),
                serialize_s=dict(sent.serialize_s),
                deserialize_s=dict(sent.deserialize_s),
            )
            for codec, sent in profile.inputs.items()
        }
        or None,
        "sizes": sizes_name,
        "overhead_bits": profile.overhead_bits or None,
        "provenance": dict(profile.provenance),
        "score": None if profile.score.name is ScoreName.ENTROPY else _score_document(profile.score),
    }
    return {key: value for key, value in document.items() if value is not None}


def _score_document(score: Score) -> dict[str, Any]:
    return _present(name=score.name.value, parameters=score.parameters)


def _timing_document(timing: Timing) -> dict[str, Any]:
    rows = None
    if timing.partition_s is not None:
        firsts, lasts = np.triu_indices(timing.blocks)
        times = timing.partition_s[firsts, lasts]
        rows = [list(row) for row in zip((firsts + 1).tolist(), (lasts + 1).tolist(), times.tolist(), strict=True)]
    return _present(
        block_s=timing.block_s,
        branch_s=timing.branch_s,
        partition_s=rows,
        serialize_s=timing.serialize_s,
        deserialize_s=timing.deserialize_s,
        block_spread_s=timing.block_spread_s,
        branch_spread_s=timing.branch_spread_s,
    )


def _present(**entries: Any) -> dict[str, Any]:
    """The entries that are not None, arrays as lists."""
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in entries.items()
        if value is not None
    }
