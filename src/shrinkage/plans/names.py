"""Names of parameters as their author wrote them, whatever wraps the network."""

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module")


def canonical(name: str) -> str:
    """``name`` without what ``torch.compile``, DataParallel and FSDP put into it.

    >>> canonical("module._orig_mod.conv1.weight")
    'conv1.weight'
    """
    parts = [part for part in name.split(".") if part not in _WRAPPERS]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] == "module" else parts)
