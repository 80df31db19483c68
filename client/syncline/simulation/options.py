"""What a simulated run is made of: every choice, derived from the seed and printed with it."""

import random

import msgspec


STRATEGIES = (
    "manual",
    "ours",
    "theirs",
    "latest",
    "merge",
    "merge:ours",
    "merge:theirs",
    "merge:latest",
    "function",
)
UNBOUNDED = 1000
"""More ancestors than a run makes, so that no conflict may be false."""

PROFILES = ("calm", "lossy", "broken", "crashing", "everything")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run, spelled out.

    Attributes:
        seed: all randomness comes from it.
        steps: what the workload and the faults do together.
        replicas: leaves. levels: 1, or 2 with daemons that follow the root.
        records: ids a model. models: how many models.
        page_rows: changes a page at most. ancestors_max: how many ancestors are kept.
        strategies: by model, of the leaves. daemon_strategies: by model, of the daemons.
        drop, duplicate, reorder: chances a message. latency_s: of a message, at most.
        cut, one_way, crash, restart, store_failure: chances a step.
        fuse: chance that a transaction dies within.
        hint: chance that `changed` carries no updates. lost_nudge: that the fan-out hears nothing.
        hooks: whether the daemons validate.
        purge, restore: chances a step, of compaction and of an older snapshot put back.
        offers_back: whether the followers of a restored daemon offer what it lost.
        late_model: whether some leaf follows a model only after its first restart.
        skew_s: how far clocks are apart.
    """

    seed: int
    steps: int
    replicas: int
    levels: int
    records: int
    models: int
    page_rows: int
    ancestors_max: int
    profile: str
    strategies: tuple[str, ...]
    daemon_strategies: tuple[str, ...]
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    latency_s: float = 0.05
    cut: float = 0.0
    one_way: float = 0.0
    crash: float = 0.0
    restart: float = 0.0
    store_failure: float = 0.0
    fuse: float = 0.0
    hint: float = 0.0
    lost_nudge: float = 0.0
    hooks: bool = False
    purge: float = 0.0
    restore: float = 0.0
    offers_back: bool = True
    late_model: bool = False
    skew_s: float = 0.0


def expand(
    seed: int,
    *,
    steps: int | None = None,
    replicas: int | None = None,
    levels: int | None = None,
    ancestors_max: int | None = None,
    profile: str | None = None,
    purges: bool = False,
    restores: bool = False,
) -> Options:
    """Return all the choices of a seed; what is given is taken as it is."""
    chance = random.Random(f"options {seed}")  # noqa: S311 - a simulation must repeat itself
    chosen_profile = chance.choice(PROFILES)
    profile = profile or chosen_profile
    models = chance.randint(1, 3)
    is_manual = chance.random() < 0.3
    strategies = tuple("manual" if is_manual else chance.choice(STRATEGIES) for _ in range(models))
    plain = [name for name in STRATEGIES if name != "function"]
    daemon = tuple(
        chance.choice(plain) if chance.random() < 0.25 else "manual" for _ in range(models)
    )
    options = Options(
        seed=seed,
        steps=steps or chance.choice((40, 80, 150)),
        replicas=replicas or chance.randint(2, 5),
        levels=levels or chance.choice((1, 1, 2)),
        records=chance.randint(1, 6),
        models=models,
        page_rows=chance.choice((1, 2, 3, 5, 100)),
        ancestors_max=ancestors_max or chance.choice((UNBOUNDED, UNBOUNDED, UNBOUNDED, 64)),
        profile=profile,
        strategies=strategies,
        daemon_strategies=daemon,
        latency_s=chance.choice((0.01, 0.1, 0.5)),
        hint=chance.choice((0.0, 0.2, 1.0)),
        lost_nudge=chance.choice((0.0, 0.3)),
        hooks=chance.random() < 0.4,
        late_model=chance.random() < 0.3,
        skew_s=chance.choice((0.0, 0.0, 30.0, 600.0)),
    )
    faults = {name: scale * chance.random() for name, scale in _FAULTS[profile].items()}
    if purges:
        faults["purge"] = 0.05
    if restores:
        faults["restore"] = 0.02
        # Of its own, so that the histories of older seeds stay as they were.
        offering = random.Random(f"offering {seed}")  # noqa: S311 - repeats itself
        options = msgspec.structs.replace(options, offers_back=offering.random() < OFFERING)
    return msgspec.structs.replace(options, **faults)


OFFERING = 0.7
_LOSSY = {"drop": 0.15, "duplicate": 0.3, "reorder": 0.4}
_BROKEN = {"cut": 0.15, "one_way": 0.05, "drop": 0.03}
_CRASHING = {"crash": 0.02, "restart": 0.06, "fuse": 0.02, "store_failure": 0.01, "cut": 0.05}
_FAULTS: dict[str, dict[str, float]] = {
    "calm": {},
    "lossy": _LOSSY,
    "broken": _BROKEN,
    "crashing": _CRASHING,
    "everything": {**_LOSSY, **_CRASHING, **_BROKEN},
}
