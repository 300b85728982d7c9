"""The result store of one study. The status of an arm is written last, so a kill leaves no invalid arm marked as OK."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from biasprop.component import InputError
from biasprop.paths import reason, user_path
from biasprop.status import Status
from biasprop.store import event_log, fingerprints, group, integrity, metadata
from biasprop.store.file_lock import locked
from biasprop.store.integrity import Damage
from biasprop.store.layout import Label, Layout, grow
from biasprop.store.variables import DATA, VARIABLES

LOCK = ".lock"
"""Lock file, held while the store's metadata or an arm is written, or damage is repaired."""

_MAY_BE_OUTDATED = {"versions", "commit", metadata.OWN}
"""Attributes that may keep old values in a read-only store that need not grow; a change of any other, such as the
study's text, requires writing."""


class Store:
    """A folder of results. ``layout`` has its dims, levels and sizes; an arm is addressed by the labels of its levels.

    Only the main process calls :meth:`create_or_grow`; workers call :meth:`open` and :meth:`write`. An arm is written
    by the process that holds the lock of its cell (:mod:`biasprop.store.file_lock`); the store's own lock
    (:data:`LOCK`) keeps writes and repairs from overlapping.
    """

    def __init__(self, path: Path, layout: Layout, arrays: dict[str, zarr.Array], attrs: dict[str, Any]):
        self.path = path
        self.layout = layout
        self.attrs = attrs
        """The group's attributes, see :func:`biasprop.store.metadata.attributes`."""
        self._arrays = arrays
        self._known_fingerprints: set[int] = set()
        self._repaired: list[str] = []

    @classmethod
    def create_or_grow(cls, path: str | os.PathLike[str], layout: Layout, attrs: Mapping[str, Any]) -> Store:
        """Create the store, or open it and append the study's levels, replicates and draws that it lacks.

        Args:
            path: the store's folder; it and its parents are created if they do not exist.
            layout: the study's layout; its order becomes the order of the cube.
            attrs: study (text), digest, numerics, versions, commit, title, question, estimands, as JSON values, see
                :func:`biasprop.store.metadata.attributes`.

        Raises:
            InputError: a stored level sets other values than the study's, or the store belongs to another study, is
                damaged, has another format or cannot be written; it is then unchanged.
        """
        path = folder(path)
        try:
            if not path.exists():
                metadata.make(path, layout, attrs)
            opened = cls.open(path)
            if opened._attributes_for(layout, attrs) != opened.attrs:
                opened = opened._locked_growth(layout, attrs)
            return opened
        except OSError as error:
            raise InputError(f"{path}: the store cannot be written ({reason(error, path)})") from error

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, writable: bool = True) -> Store:
        """Open an existing store.

        Args:
            path: the store's folder, or the group in it.
            writable: repair damaged metadata from its copy (reported by the next :meth:`verify`); otherwise the copy is
                read instead and nothing is written.

        Raises:
            InputError: there is no store, or it is damaged or has another format.
        """
        path = folder(path)
        repaired = _repair_metadata(path) if writable else []
        opened = cls(path, *group.open_group(path, writable=writable))
        opened._repaired += repaired
        return opened

    def _attributes_for(self, wanted: Layout, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes of the store after it has grown to hold a study, including the layout."""
        digest = self.attrs.get("digest")
        if digest != attrs.get("digest"):
            raise InputError(
                f"{self.path}: this is the store of another study (digest {digest}, this study has "
                f"{attrs.get('digest')}); give the study a store of its own with --out DIR"
            )
        layout = grow(self.layout, wanted, self.path)
        try:
            return metadata.attributes(self.attrs, layout, wanted, attrs)
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(f"{self.path}: the store's metadata is damaged ({error}); move it away") from error

    def _locked_growth(self, wanted: Layout, attrs: Mapping[str, Any]) -> Store:
        """Grow the store and update its attributes; if it is read-only, :data:`_MAY_BE_OUTDATED` stay as they are."""
        new = self._attributes_for(wanted, attrs)
        try:
            with locked(self.path / LOCK):  # another process may have grown it meanwhile
                return Store(self.path, *group.open_group(self.path, writable=True))._grow(wanted, attrs)
        except OSError:
            changed = {name for name, value in new.items() if value != self.attrs.get(name)}
            if changed - _MAY_BE_OUTDATED or grow(self.layout, wanted, self.path).shape != self.layout.shape:
                raise
            return self

    def _grow(self, wanted: Layout, attrs: Mapping[str, Any]) -> Store:
        new, layout = self._attributes_for(wanted, attrs), grow(self.layout, wanted, self.path)
        if layout.shape != self.layout.shape:
            sizes = ", ".join(f"{dim} {size}" for dim, size in zip(layout.dims, layout.shape, strict=True))
            new["history"] = f"{new['history']}\n{metadata.now()}: grown to {sizes}"
        chunks = {name: array.chunks for name, array in self._arrays.items()}
        metadata.write(self.path, metadata.files(layout, new, chunks))
        return Store(self.path, *group.open_group(self.path, writable=True))

    def index(self, arm: Mapping[str, Label], replicate: int) -> tuple[int, ...]:
        """Position of an arm in :meth:`status` and in the arrays on disk.

        Args:
            arm: factor -> label of its level, for every factor.
            replicate: from 0.

        Raises:
            KeyError: a factor, level or replicate is missing or unknown.
        """
        return self.layout.index(arm, replicate)

    def status(self) -> np.ndarray:
        """Status of every draw, int8 ``[*factors, replicate, draw]`` in the store's order; OPEN if unreadable."""
        try:
            status = np.asarray(self._arrays["status"][...])
        except group.UNREADABLE:
            status = np.full((*self.layout.shape, self.layout.draws), Status.OPEN, "i1")
            for index in np.ndindex(*self.layout.shape):
                with contextlib.suppress(*group.UNREADABLE):
                    status[index] = self._arrays["status"][index]
        return _mark_late_draws(status)

    def status_of(self, arm: Mapping[str, Label], replicate: int) -> np.ndarray:
        """Status of every draw of one arm (see :meth:`index`), read from one small file."""
        with contextlib.suppress(*group.UNREADABLE):
            return _mark_late_draws(np.asarray(self._arrays["status"][self.index(arm, replicate)]))
        return np.full(self.layout.draws, Status.OPEN, "i1")

    def write(
        self,
        arm: Mapping[str, Label],
        replicate: int,
        data: Mapping[str, np.ndarray],
        status: np.ndarray | Sequence[int],
        seconds: float,
        fingerprint: Mapping[str, Any],
    ) -> None:
        """Store a computed arm: data and record first, its status last. An arm that is already stored is replaced.

        Args:
            arm, replicate: as for :meth:`index`.
            data: every name of ``variables.DATA`` with that table's dims; ``draw``, ``selection`` and ``calibration``
                may be shorter than the layout's and are padded with NaN or -1. May be empty if no draw is OK.
            status: of each draw, 1 to 4 (:class:`Status`); padded with 4 (not planned).
            seconds: wall time of the arm.
            fingerprint: what bit equality depends on, as JSON values; stored in ``fingerprints/``.

        Raises:
            KeyError: the arm is unknown.
            ValueError: names, shapes, types or statuses do not fit; nothing is then written.
        """
        index = self.index(arm, replicate)
        states = self._states(status)
        arrays = self._checked(data, integrity.planned(states), required=bool((states == Status.OK).any()))
        with locked(self.path / LOCK):  # another process may be repairing the store
            if self._is_written(index):
                # A kill from here on must not leave old status over new data.
                group.write(self._arrays, index, {"status": np.int8(Status.OPEN)})
            record = {
                "fingerprint": np.uint64(self._store_fingerprint(fingerprint)),
                "checksum": integrity.checksum(arrays, integrity.planned(states)),
                "seconds": np.float32(seconds),
            }
            group.write(self._arrays, index, arrays | record)
            group.write(self._arrays, index, {"status": states})

    def array(self, name: str) -> zarr.Array:
        """A variable's array on disk, in the store's order, including values of draws that are not OK; for readers."""
        return self._arrays[name]

    def _is_written(self, index: tuple[int, ...]) -> bool:
        try:
            return bool(np.any(np.asarray(self._arrays["status"][index]) != Status.OPEN))
        except group.UNREADABLE:
            return True

    def _states(self, status: np.ndarray | Sequence[int]) -> np.ndarray:
        states = np.full(self.layout.draws, Status.NOT_PLANNED, "i1")
        per_draw = np.asarray(status)
        known = np.isin(per_draw, [state for state in Status if state != Status.OPEN])
        if per_draw.ndim != 1 or len(per_draw) > len(states) or not known.all():
            raise ValueError(f"status must be 1 to 4 for each of at most {len(states)} draws, not {per_draw!r}")
        states[: len(per_draw)] = per_draw
        return states

    def _checked(self, data: Mapping[str, np.ndarray], draws: int, *, required: bool) -> dict[str, np.ndarray]:
        unknown, missing = sorted(set(data) - set(DATA)), sorted(set(DATA) - set(data))
        if unknown or (missing and (required or data)):
            raise ValueError(f"the data of an arm lacks variables {missing} and has unknown variables {unknown}")
        arrays = {}
        for name, variable in DATA.items():
            full = variable.empty(self.layout.sizes)
            if name in data:
                values = np.asarray(data[name])
                padded = [dim in ("draw", "selection", "calibration") for dim in variable.dims]
                fits = values.ndim == full.ndim and all(
                    size <= limit if pad else size == limit
                    for size, limit, pad in zip(values.shape, full.shape, padded, strict=True)
                )
                if not fits:
                    raise ValueError(f"{name} has shape {values.shape}, the store has {full.shape} {variable.dims}")
                if not np.can_cast(values.dtype, full.dtype, "same_kind"):
                    raise ValueError(f"{name} has type {values.dtype}, which cannot be stored as {full.dtype}")
                if full.dtype.kind == "i" and values.size and (values.min() < -1 or values.max() > 127):
                    raise ValueError(f"{name} holds values outside -1 to 127")
                full[tuple(slice(0, size) for size in values.shape)] = values
                if "draw" in variable.dims:
                    full[draws:] = variable.absent
                if full.dtype.kind == "f":
                    full[np.isnan(full)] = np.nan  # one bit pattern, so zarr omits a chunk that is all NaN
            arrays[name] = full
        return arrays

    def _store_fingerprint(self, fingerprint: Mapping[str, Any]) -> int:
        number, text = fingerprints.number_of(fingerprint)
        if number not in self._known_fingerprints:
            if self.fingerprint(number) is None:
                fingerprints.write(self.path, number, text)
                self.log(fingerprints.event(number, text))
            self._known_fingerprints.add(number)
        return number

    def fingerprint(self, number: int) -> dict[str, Any] | None:
        """The content of a fingerprint, by its number in the cube; None if its file is missing or damaged."""
        return fingerprints.find(self.path, number)

    def verify(
        self, arms: Iterable[tuple[Mapping[str, Label], int]] | None = None, *, repair: bool = True
    ) -> list[Damage]:
        """Check stored arms and fingerprints by their checksums, and that the event log can be read.

        Args:
            arms: (arm, replicate) to check; those that the store does not have are skipped. None checks all.
            repair: reset damaged arms to OPEN, so that they are recomputed; restore fingerprints from the event log;
                log all damage. Damage outside arms that cannot be restored is reported only once.

        Returns:
            All damage, in the store's order.

        Raises:
            OSError: there is damage, and the store cannot be written.
        """
        found = [Damage(f"{self.path / name}: damaged; restored") for name in self._repaired]
        self._repaired = []
        numbers: set[int] = set()
        for index in np.ndindex(*self.layout.shape) if arms is None else self._indices(arms):
            reason, number = integrity.inspect(self._arrays, index)
            if reason is not None and repair:
                with locked(self.path / LOCK):  # another process may have written it just now
                    reason, number = integrity.inspect(self._arrays, index)
                    if reason is not None:
                        empty = {name: variable.empty(self.layout.sizes) for name, variable in VARIABLES.items()}
                        group.write(self._arrays, index, {"status": empty.pop("status")})
                        group.write(self._arrays, index, empty)
            if reason is not None:
                arm, replicate = self.layout.arm(index)
                found.append(Damage(reason, arm, replicate))
            if number is not None:
                numbers.add(number)
        found += self._damage_outside_arms(numbers, repair)
        if repair:
            for damage in found:
                self.log({"event": "damaged", "arm": damage.arm, "replicate": damage.replicate, "why": damage.reason})
        return found

    def mend(self, arms: Iterable[tuple[Mapping[str, Label], int]] | None = None) -> list[Damage]:
        """Check stored arms and repair damage (:meth:`verify`), before a run.

        Raises:
            InputError: there is damage, and the store cannot be written.
        """
        arms = None if arms is None else list(arms)
        try:
            return self.verify(arms)
        except OSError as error:
            found = "; ".join(map(str, self.verify(arms, repair=False)))
            problem = f"damaged, and cannot be written to repair it ({reason(error, self.path)})"
            raise InputError(f"{self.path}: {problem}: {found}") from error

    def begin(self, arms: int) -> None:
        """Log the start of a run, which also checks at once that the store can be written.

        Args:
            arms: number of arms to compute.

        Raises:
            InputError: the store cannot be written.
        """
        try:
            self.log({"event": "run", "arms": arms})
        except OSError as error:
            raise InputError(f"{self.path}: the store cannot be written ({reason(error, self.path)})") from error

    def _indices(self, arms: Iterable[tuple[Mapping[str, Label], int]]) -> list[tuple[int, ...]]:
        indices = []
        for arm, replicate in arms:
            with contextlib.suppress(KeyError):  # a level or replicate that the store does not have yet
                indices.append(self.index(arm, replicate))
        return indices

    def _damage_outside_arms(self, numbers: set[int], repair: bool) -> list[Damage]:
        """Damage that affects no result: lost fingerprints and unreadable lines of the event log."""
        events, unreadable = event_log.read(self.path)
        reported = {event["why"] for event in events if event.get("event") == "damaged" and "why" in event}
        found = []
        for number, text in fingerprints.lost(self.path, numbers, events):
            remedy = "restored from the event log" if text else "written again with the next arm of this fingerprint"
            found.append(Damage(f"{fingerprints.file(self.path, number)}: missing or damaged; {remedy}"))
            if repair:
                self._known_fingerprints.discard(number)
                fingerprints.file(self.path, number).unlink(missing_ok=True)
            if repair and text:
                fingerprints.write(self.path, number, text)
        found += [Damage(f"{self.path / event_log.FILE}: line {line} cannot be read; left out") for line in unreadable]
        return [damage for damage in found if damage.reason not in reported or "restored" in damage.reason]

    def log(self, event: Mapping[str, Any]) -> None:
        """Append one line to ``events.jsonl`` (with time and process id); lines of several writers do not mix.

        Raises:
            OSError: it cannot be written.
        """
        event_log.append(self.path, {"time": metadata.now(), "pid": os.getpid(), **event})

    def events(self) -> list[dict[str, Any]]:
        """The event log, oldest first; truncated or damaged lines are left out."""
        return event_log.read(self.path)[0]

    def scores_digest(self) -> str:
        """Hash (16 hex digits) of the store's layout, statuses and checksums, which changes when any result does.

        Reads two small numbers per arm, no scores.
        """
        status = self.status()
        with contextlib.suppress(*group.UNREADABLE):
            sums = np.asarray(self._arrays["checksum"][...])
            sums = np.where((status != Status.OPEN).any(-1), sums, 0)
            layout = self.attrs[metadata.OWN].encode()
            return f"{integrity.hash64(layout, status.tobytes(), sums.astype('<u8').tobytes()):016x}"
        return f"unreadable-{os.urandom(4).hex()}"  # random: no cache matches, and the reader names the damaged arm


def folder(path: str | os.PathLike[str]) -> Path:
    """The store's folder, given its path or that of the zarr group in it; ``~`` is expanded."""
    path = user_path(path).absolute()  # a cube is read when it is used, maybe in another working directory
    return path.parent if path.name == metadata.GROUP else path


def _repair_metadata(path: Path) -> list[str]:
    """Repair a store's metadata before it is opened for writing; returns the names of the damaged files."""
    group.refuse_links(path)
    try:
        copy = metadata.copied(path)
        if copy and metadata.differing(path, copy):  # damaged, or another process is writing it
            with locked(path / LOCK):
                return [f"{metadata.GROUP}/{name}" for name in metadata.mend(path)]
        if copy is None and (path / metadata.GROUP / metadata.ROOT).is_file():
            with locked(path / LOCK):
                layout, arrays, attrs = group.open_group(path, writable=True)  # checks the group before copying
                found = [metadata.COPY] if (path / metadata.COPY).exists() else []
                chunks = {name: array.chunks for name, array in arrays.items()}
                metadata.write(path, metadata.files(layout, attrs, chunks))
                return found
    except OSError as error:
        if wrong := metadata.differing(path, metadata.copied(path) or {}):
            name = path / metadata.GROUP / wrong[0]
            raise InputError(f"{name}: damaged, and cannot be written to repair it ({reason(error)})") from error
    return []  # also for a store without a copy that cannot be written


def _mark_late_draws(status: np.ndarray) -> np.ndarray:
    """Mark draws as not planned that the store got only after the arm was written."""
    late = (status != Status.OPEN).any(-1, keepdims=True) & (status == Status.OPEN)
    return np.where(late, np.int8(Status.NOT_PLANNED), status)
