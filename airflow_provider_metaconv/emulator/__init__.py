"""A local emulator of Meta's Graph API for conversations, for tests and demos without a Meta account."""

from importlib.util import find_spec

if not all(map(find_spec, ("starlette", "uvicorn"))):
    raise ImportError("The emulator requires starlette and uvicorn: pip install 'airflow-provider-metaconv[emulator]'")

from .corpus import CONTENT_KINDS
from .dataset import MessageSpec, PageSpec, ThreadSpec, build_world, uniform_world
from .faults import FAULTS, Fault, FaultKind
from .models import GroundTruth, World
from .server import EmulatorServer
from .settings import EmulatorSettings, LiveTraffic, WorldSettings

__all__ = [
    "CONTENT_KINDS",
    "FAULTS",
    "EmulatorServer",
    "EmulatorSettings",
    "Fault",
    "FaultKind",
    "GroundTruth",
    "LiveTraffic",
    "MessageSpec",
    "PageSpec",
    "ThreadSpec",
    "World",
    "WorldSettings",
    "build_world",
    "uniform_world",
]
