"""ServiceOptions: what a server does with requests, whatever engine answers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from redraft.server.engine.vllm_engine import VllmSettings
from redraft.server.options import option, secret

Effort = Literal["refine", "think", "both"]
Page = Literal["metrics", "docs"]
ReasoningField = Literal["both", "reasoning", "reasoning_content", "none", "inline_think"]


@dataclass(frozen=True)
class ServiceOptions:
    host: str = option("address to listen on; 0.0.0.0 for all", "127.0.0.1", "address")
    port: int = option("port to listen on; 0 takes a free one", 8000, "address", least=0)
    root_path: str = option("path prefix a proxy in front of the server strips", "", "address")
    cors_origins: tuple[str, ...] = option(
        "origin whose pages may call the server; repeat it, or * for all",
        (),
        "address",
        repeat=True,
    )

    model: str = option(
        "a directory, a name of the hub (OWNER/NAME@REVISION) or one that redraft models lists; "
        "off: the shipped redraft-smollm2",
        "",
        "model",
        positional="MODEL",
    )
    cache_dir: str = option(
        "folder for models made from packages; off: ~/.cache/redraft", "", "model"
    )
    served_name: str = option(
        "what clients call the model; off: its name, or that of its directory",
        VllmSettings.served_name,
        "model",
    )
    lora: tuple[str, ...] = option(
        "NAME=ADAPTER, an adapter served by that name; with --engine http the upstream's name for "
        "it; repeat it",
        (),
        "model",
        repeat=True,
    )
    style: Literal["auto", "srt", "prompted"] = option(
        "how phases are asked for; auto: as the model's redraft.json says", "auto", "model"
    )
    max_model_len: int | None = option(
        "most tokens of prompt and completion; none: the model's own",
        VllmSettings.max_model_len,
        "model",
        least=1,
    )

    max_iterations: int | None = option(
        "iterations when a request does not say; none: what the model's redraft.json says, else 1",
        None,
        "refinement",
        least=0,
    )
    good_enough: int | None = option(
        "score that ends refining when a request does not say", None, "refinement", least=1
    )
    keep: Literal["best", "last", "vote"] | None = option(
        "which response answers when a request does not say", None, "refinement"
    )
    default_max_tokens: int | None = option(
        "tokens of each response when a request does not say; 0: what the window has room for; "
        "none: that without refinement, else a third of the window, at most 1024",
        None,
        "refinement",
        least=0,
    )
    default_feedback_tokens: int | None = option(
        "tokens of feedback likewise; none: a quarter of the window, at most 512",
        None,
        "refinement",
        least=0,
    )
    end_repetition: bool = option(
        "end a text that repeats one passage again and again", True, "refinement"
    )
    one_breath: bool = option(
        "write phases that are sampled alike in one go, where the model writes the markers itself",
        False,
        "refinement",
    )
    feedback_request: str = option(
        "file with the request for feedback of a model asked in chat messages; off: the paper's",
        "",
        "refinement",
    )
    refinement_request: str = option(
        "file with the request for a refinement of such a model", "", "refinement"
    )
    max_iterations_cap: int = option("most iterations a request may ask", 8, "refinement", least=0)
    max_drafts_cap: int = option("most drafts a request may ask for", 8, "refinement", least=1)
    feedback_votes: int = option(
        "feedbacks on each response when a request does not say; the majority decides",
        1,
        "refinement",
        least=1,
    )
    max_votes_cap: int = option("most feedback votes a request may ask", 8, "refinement", least=1)
    max_choices_cap: int = option(
        "most choices (n) a request may ask for; each takes a place of its own",
        8,
        "refinement",
        least=1,
    )
    think: Literal["auto", "draft", "all", "none"] = option(
        "phases a reasoning model thinks in; auto: drafts, if it does", "auto", "refinement"
    )
    think_tokens: int | None = option("most tokens of thoughts", None, "refinement", least=1)
    effort: Effort = option("what reasoning_effort is about", "refine", "refinement")
    checks: tuple[str, ...] = option(
        "module:function that returns further kinds of checks; repeat it",
        (),
        "refinement",
        repeat=True,
    )
    reasoning_field: ReasoningField = option(
        "where chat messages carry draft and feedback", "both", "refinement"
    )

    max_loops: int = option("requests worked on at once", 64, "limits", least=1)
    max_queue: int = option("requests that may wait; more get a 429", 256, "limits", least=0)
    max_share: float = option(
        "part of loops and queue one client may take, 0 to 1", 1.0, "limits", least=0
    )
    requests_per_minute: int | None = option(
        "of one API key, or of all without keys; more get a 429", None, "limits", least=1
    )
    tokens_per_minute: int | None = option(
        "read and written, of one API key likewise", None, "limits", least=1
    )
    queue_timeout_s: float = option("longest wait for a place", 30.0, "limits", least=0)
    max_connections: int = option(
        "connections open at once; more get a 503", 1000, "limits", least=1
    )
    max_header_kib: float = option("largest head of a request", 64.0, "limits", least=1)
    max_headers: int = option("most headers of a request", 100, "limits", least=1)
    header_timeout_s: float = option(
        "for a request's headers to arrive", 10.0, "limits", least=0.001
    )
    max_body_mib: float = option("largest request body", 4.0, "limits", least=0)
    max_messages: int = option("most messages of one chat", 1000, "limits", least=1)
    max_deadline_s: float = option("longest a loop may take; 0: no limit", 600.0, "limits", least=0)
    body_timeout_s: float = option("for a request body to arrive", 60.0, "limits", least=0)
    stall_s: float = option(
        "a reader that takes nothing for so long is gone; 0: never", 120.0, "limits", least=0
    )
    grace_s: float = option(
        "on SIGTERM, seconds until running loops answer with their best", 20.0, "limits", least=0
    )
    keep_alive_s: float = option(
        "seconds of silence in a stream before a comment is sent; 0: never", 10.0, "limits", least=0
    )

    api_keys_file: str = option(
        "file of API keys, one NAME:KEY a line (see redraft keys), read again when it changes and "
        "on SIGHUP; off: no key asked for",
        "",
        "access",
    )
    api_keys: str = secret("the API keys themselves, NAME:KEY,NAME:KEY", "access")
    guard: tuple[Page, ...] = option(
        "pages that ask for an API key, too: metrics, docs; repeat it", (), "access", repeat=True
    )
    open_access: bool = option(
        "serve without API keys on an address others can reach", False, "access"
    )

    name_clients: bool = option("name the clients of API keys in /metrics", True, "records")
    log_level: Literal["debug", "info", "warning", "error"] = option("log level", "info", "records")
    log_format: Literal["text", "json"] = option("log lines for people or tools", "text", "records")
    traces: str = option("directory to append every trace to, as JSON lines", "", "records")
