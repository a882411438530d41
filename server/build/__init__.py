"""From a configuration to engines: which model a name stands for, where its files are, what runs.

engines   the engines of a configuration, and the style in which each model is asked
"""

from redraft.server.build.engines import SHIPPED, Engines, build, model_directory

__all__ = ["SHIPPED", "Engines", "build", "model_directory"]
