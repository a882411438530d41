"""From a configuration to engines: which model a name stands for, where its files are, what runs.

engines        the engines of a configuration, and the style in which each model is asked
adapters       what is served on one engine: the base, the adapters on it, who writes a phase
names          which model a name stands for
at_hand        the models that are here already
hub            models of the hub, fetched into its cache
hub_process    the process that fetches them
repository     which files of a repository are needed
requests       the words of the prompted style, from an operator's files
own_checks     the operator's own kinds of checks
aliases        models with a short name, made once from a package
gguf_weights   a GGUF file turned into weights
fetching       what a fetch says, and how it is stopped
progress_bar   lines of progress of a download
"""

from redraft.server.build.engines import Engines, build

__all__ = ["Engines", "build"]
