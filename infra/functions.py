"""The catalogue of functions: which layers each carries and how large it is.

Names are folders under ``lambdas/``. What a function may touch is said where it is composed, in ``infra/stacks``; what it
weighs is said here, because the layer builder needs it without synthesising anything.
"""

from __future__ import annotations

from dataclasses import dataclass

COMMON_LAYERS = ("shared", "projects", "base")
SMALLEST_DISK = 512
_MB_PER_VCPU = 1769


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """One function: folder, layers on top of the common ones, memory in MB, timeout in seconds, scratch disk in MB."""

    folder: str
    extra_layers: tuple[str, ...]
    memory: int
    timeout: int
    disk: int = SMALLEST_DISK

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers, at most five; no two carry the same package, so their order is of no matter."""
        return (*COMMON_LAYERS, *self.extra_layers)

    @property
    def threads(self) -> int:
        """Whole processors that the memory buys; numeric libraries must not start more threads than that."""
        return max(1, self.memory // _MB_PER_VCPU)


def _spec(folder: str, memory: int, timeout: int, *extra_layers: str, disk: int = SMALLEST_DISK) -> tuple[str, FunctionSpec]:
    return folder, FunctionSpec(folder=folder, extra_layers=extra_layers, memory=memory, timeout=timeout, disk=disk)


# Memory follows the peaks in docs/measured.md, five times over: a project may bring more rows than the example does. A new
# account is allowed 3008 MB a function and no more. Scratch disk: validation holds the largest file it accepts and the tables
# made of it, ingestion what it staged, transform every live file of the tables and all it computes from them; the others fetch
# training sets and windows. Lambda gives 512 MB to 10,240 MB, and no more than 512 to a function under SnapStart.
FUNCTIONS: dict[str, FunctionSpec] = dict(
    (
        _spec("validation", 2048, 300, "query", disk=6144),
        _spec("ingestion", 2048, 300, "query", "lake", disk=2048),
        _spec("transform", 3008, 600, "query", "lake", disk=10_240),
        _spec("tuning", 3008, 600, "train", disk=2048),
        _spec("training", 3008, 900, "train", disk=2048),
        _spec("scoring", 2048, 600, "query", "serve", disk=2048),
        _spec("evaluation", 2048, 600, "train", disk=2048),
        _spec("registration", 512, 120),
        _spec("deployment", 512, 120),
        _spec("inference", 1769, 29, "serve"),
        _spec("collector", 1024, 120, "query"),
        _spec("labels", 256, 29),
        _spec("monitoring", 2048, 600, "train", disk=2048),
        _spec("governor", 256, 60),
    )
)
