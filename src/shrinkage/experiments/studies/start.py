"""The weights that every fit of a run begins at, where they are not the factory's random ones."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from shrinkage.errors import ModelError, did_you_mean, shown
from shrinkage.graph.wrappers import canonical
from shrinkage.runs.checksums import bytes_checksum

_REMEDY = "Pass a network, its state_dict(), or a .safetensors file of it."


@dataclass(frozen=True, eq=False)
class Start:
    """Weights and buffers by name, as the state dict of the network that is trained on has them.

    Names are without what ``torch.compile`` and DataParallel put before them.
    """

    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, weights: object) -> "Start | None":
        """What a user has passed; None stays None.

        Parameters
        ----------
        weights : nn.Module, mapping of names to tensors, path of a .safetensors file, or None
            Copied: training the network on changes nothing here.

        Raises
        ------
        ModelError
            For anything else, for a file that cannot be read, and for numbers that are not finite.
        """
        if weights is None:
            return None
        if isinstance(weights, nn.Module):
            found: object = weights.state_dict()
        elif isinstance(weights, str | os.PathLike):
            found = _read(Path(weights))
        else:
            found = weights
        return cls(_checked(found))

    @cached_property
    def checksum(self) -> str:
        """The SHA-256 of names and numbers."""
        names = sorted(self.tensors)
        return bytes_checksum(save({name: self.tensors[name] for name in names}))

    def load_into(self, model: nn.Module) -> None:
        """Let ``model`` begin here; :class:`ModelError` unless names and shapes are its own."""
        own = {canonical(name): tensor for name, tensor in model.state_dict().items()}
        for names, what in (
            (sorted(own.keys() - self.tensors.keys()), "lack"),
            (sorted(self.tensors.keys() - own.keys()), "have"),
        ):
            if names:
                raise ModelError(
                    "the weights are those of another network",
                    got=f"weights that {what} {names[0]!r}"
                    + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
                    expected=f"a value for each of the network's {len(own)} tensors, and no others",
                    remedy=did_you_mean(names[0], own if what == "have" else self.tensors)
                    + "Let make_model make the network that was trained.",
                )
        for name, tensor in own.items():
            if tensor.shape != self.tensors[name].shape:
                raise ModelError(
                    "the weights are those of another network",
                    got=f"{name!r} of shape {tuple(self.tensors[name].shape)}",
                    expected=f"{tuple(tensor.shape)}, as the network has it",
                    remedy="Let make_model make the network that was trained.",
                )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(self.tensors[name])


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        raise ModelError(
            "weights are read from safetensors files only",
            got=shown(str(path)),
            expected="FILE.safetensors",
            remedy="Of a file that torch.save wrote pass what it holds: "
            "weights=torch.load(FILE, weights_only=True).",
        )
    try:
        return dict(load_file(path))
    except (OSError, ValueError, SafetensorError) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise ModelError(
            f"{path.name} cannot be read",
            got=why,
            expected="a safetensors file",
            remedy="Check the path; safetensors.torch.save_file(model.state_dict(), FILE) "
            "writes one.",
        ) from None


def _checked(found: object) -> dict[str, Tensor]:
    """Copies on the CPU, by canonical names."""
    if not isinstance(found, Mapping) or not found:
        raise ModelError(
            "these are no weights", got=shown(found), expected="tensors by name", remedy=_REMEDY
        )
    tensors: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise _no_weights(name, tensor)
        tensors[canonical(name)] = tensor.detach().cpu().clone().contiguous()
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ModelError(
                "the weights are not finite",
                got=f"NaN or infinity in {name!r}",
                expected="finite numbers",
                remedy="Take a checkpoint of before the training diverged.",
            )
    return tensors


def _no_weights(name: object, found: object) -> ModelError:
    inside = isinstance(found, Mapping) and isinstance(name, str)
    return ModelError(
        "these are no weights",
        got=f"{shown(found)} under {shown(name)}",
        expected="tensors by name",
        remedy=f"Pass what lies within: weights=checkpoint[{name!r}]." if inside else _REMEDY,
    )
