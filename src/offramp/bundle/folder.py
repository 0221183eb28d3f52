"""Bundles as folders: written whole or not at all, validated before loading.

::

    bundle/
        bundle.json  topology.yaml  README.md
        tiers/NAME/tier.json  topology.yaml  blocks-1-3.onnx ...
        deploy/...
        profile.json and its tables: what the plan was made from, for emulation and planning again
"""

import hashlib
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from offramp.bundle.documents import ManifestDocument, TierManifestDocument, bundle_document, tier_document
from offramp.bundle.manifest import Manifest, PartitionFile, TierManifest
from offramp.core.profile import Profile
from offramp.core.topology import Topology
from offramp.errors import Fault, InputError, fail
from offramp.files.checking import Document, checked
from offramp.files.parsing import parse_json
from offramp.files.profile import write_profile
from offramp.files.sources import locate, naming, read_text
from offramp.files.topology import read_topology, topology_text
from offramp.files.writing import json_text

MOST_BYTES = 1 << 26

D = TypeVar("D", bound=Document)


def checksum(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write_bundle(
    bundle: Manifest,
    models: Mapping[tuple[int, int], bytes],
    profile: Profile,
    path: Path,
    *,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Make `path` a folder with the bundle; an existing bundle is replaced, anything else is refused.

    models: the partitions' ONNX files by first and last block.
    extra: more text files, by their place in the folder.
    Raises `InputError` where it can't be written.
    """
    check_place(path)
    for tier in bundle.topology.tiers:
        if "/" in tier.name or "\\" in tier.name or tier.name.startswith("."):
            fail("tier", f"{tier.name!r} can't be the name of a folder", "give it another name in the topology")
    part, old = (path.parent / f".{secrets.token_hex(8)}.{kind}" for kind in ("part", "old"))
    try:
        part.mkdir(parents=True)
        topology = topology_text(bundle.topology)
        texts = {"bundle.json": json_text(bundle_document(bundle)), "topology.yaml": topology, **(extra or {})}
        for tier in bundle.topology.tiers:
            manifest = bundle.tier(tier.name)
            folder = f"tiers/{tier.name}"
            texts |= {f"{folder}/tier.json": json_text(tier_document(manifest)), f"{folder}/topology.yaml": topology}
            for partition in manifest.partitions:
                _write(part / folder / partition.file, models[partition.blocks])
        for name, text in texts.items():
            _write(part / name, text.encode())
        write_profile(profile, part / "profile.json")
        if path.exists():
            path.rename(old)
        part.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if old.exists() and not path.exists():
            old.rename(path)
        fault = Fault("--out", f"can't be written: {error.strerror or error}", "give a folder where there is room")
        raise InputError([fault], source=str(path)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_place(path: Path) -> None:
    """Raise `InputError` where no bundle may be written: at a file, a link, or a folder with something else in it."""
    if path.is_symlink() or (path.exists() and not path.is_dir()) or not path.absolute().parent.is_dir():
        fail("--out", f"{path} can't be made", "give a new folder in one that is there")
    if path.exists() and any(path.iterdir()) and not (path / "bundle.json").is_file():
        fail("--out", f"{path} exists and is no bundle", "give a new folder")


def read_bundle(folder: Path) -> Manifest:
    """The manifest of the bundle in `folder`. Raises `InputError` with every fault."""
    document = _document(ManifestDocument, folder / "bundle.json")
    topology = _topology(folder)
    with naming(folder / "bundle.json"):
        return document.core(topology)


def read_tier(folder: Path) -> TierManifest:
    """What the tier in `folder` must know. Raises `InputError` with every fault."""
    document = _document(TierManifestDocument, folder / "tier.json")
    topology = _topology(folder)
    with naming(folder / "tier.json"):
        return document.core(topology)


def read_model(folder: Path, partition: PartitionFile) -> bytes:
    """The partition's ONNX file in a tier's folder. Raises `InputError` unless it is the one that was built."""
    path = folder / partition.file
    with naming(path):
        size = locate(path, remedy="copy the tier's folder again").stat().st_size
        if size != partition.size_bytes:
            fail("file", f"has {size} bytes, not {partition.size_bytes}", "copy the tier's folder again")
        data = path.read_bytes()
        if checksum(data) != partition.sha256:
            fail("file", "has another checksum than when it was built", "copy the tier's folder again")
        return data


def _document(model: type[D], path: Path) -> D:
    remedy = "give the folder that `offramp build` wrote, or a tier's in it"
    with naming(path):
        raw, faults = parse_json(read_text(locate(path, remedy=remedy), most=MOST_BYTES))
        return checked(model, raw, faults, strict=True)


def _topology(folder: Path) -> Topology:
    path = folder / "topology.yaml"
    with naming(path):
        return read_topology(locate(path, remedy="copy the folder again"))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
