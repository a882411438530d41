"""The settings of the server: its service (``service``), and the engine with all of it
(``server``)."""

from redraft.server.config.server import EngineName, ServerConfig, read
from redraft.server.config.service import Effort, ReasoningField

__all__ = ["Effort", "EngineName", "ReasoningField", "ServerConfig", "read"]
