"""Join the rows of aggregate queries with other tables, whose columns have a prefix."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from query_api.store.sql import OF_PROJECT

Join = Literal[
    "traces", "summaries", "trace_scores", "observation_scores", "observations",
    "experiments", "trace_experiments",
]  # fmt: skip

_OF_RUN_ITEMS: Final = (
    "SELECT subject AS x_of, created_us AS x_us, parent AS x_run,\n"
    "      JSONExtractString(body, 'run_name') AS x_run_name, r_dataset AS x_run_dataset\n"
    "    FROM documents FINAL ANY LEFT JOIN (\n"
    "      SELECT id AS r_id, parent AS r_dataset FROM documents FINAL\n"
    f"      WHERE {OF_PROJECT} AND kind = 'dataset_run' AND version = 0\n"
    "    ) AS r ON parent = r_id\n"
    f"    WHERE {OF_PROJECT} AND kind = 'dataset_run_item' AND version = 0 AND is_deleted = 0"
)
_OF_SPANS: Final = (
    "SELECT trace_id, toUnixTimestamp64Micro(start_time), experiment_id,\n"
    "      JSONExtractString(metadata, 'langfuse.experiment.name'),\n"
    "      JSONExtractString(metadata, 'langfuse.experiment.dataset.id')\n"
    f"    FROM observations FINAL WHERE {OF_PROJECT} AND experiment_id > ''"
)


def _experiment_join(trace_column: str) -> str:
    """Return the join that adds ``x_id``, ``x_name`` and ``x_dataset``.

    A trace in several experiments belongs to the latest one. Without an experiment, they are empty.
    """
    return (
        "ANY LEFT JOIN (\n  SELECT x_of, argMax(x_run, x_us) AS x_id,"
        " argMax(x_run_name, x_us) AS x_name,\n    argMax(x_run_dataset, x_us) AS x_dataset\n"
        f"  FROM (\n    {_OF_RUN_ITEMS}\n    UNION ALL\n    {_OF_SPANS}\n  )\n  GROUP BY x_of\n"
        f") AS x ON {trace_column} = x_of"
    )


def join_sql(join: Join, table: str, of_traces: str = "") -> str:
    """Return a join of a table; ``of_traces`` are further conditions of the joined traces.

    With such conditions, rows of other traces are left out.
    """
    if join != "traces":
        return _JOINS[join]
    kind = "SEMI LEFT" if of_traces else "ANY LEFT"
    key, on = "id AS t_id", "trace_id = t_id"
    if table == "observations_slim":
        key, on = f"{_HASH} AS t_hash", "trace_hash = t_hash"
    return (
        f"{kind} JOIN (\n  SELECT {key}, name AS t_name, user_id AS t_user_id,"
        " session_id AS t_session_id,\n    release AS t_release, version AS t_version,"
        " tags AS t_tags\n"
        f"  FROM traces FINAL\n  WHERE {OF_PROJECT}{of_traces}\n) AS t ON {on}"
    )


_HASH: Final = "reinterpretAsUInt128(sipHash128(id))"
"""The value of ``trace_hash``, which migration 36 adds, for the id of a trace."""


_JOINS: Final[Mapping[Join, str]] = MappingProxyType(
    {
        "summaries": (
            "ANY LEFT JOIN (\n  SELECT id AS s_trace, arrayJoin(arrayZip(mapKeys(summaries),"
            " mapValues(summaries))) AS s_pair,\n    s_pair.1 AS s_id, s_pair.2 AS s_counted\n"
            f"  FROM traces FINAL\n  WHERE {OF_PROJECT} AND notEmpty(summaries)\n"
            ") AS s ON trace_id = s_trace AND id = s_id"
        ),
        "trace_scores": (
            "ANY LEFT JOIN (\n  SELECT trace_id AS c_trace, count() AS c_scores\n"
            f"  FROM scores FINAL\n  WHERE {OF_PROJECT}\n  GROUP BY trace_id\n"
            ") AS c ON id = c_trace"
        ),
        "observation_scores": (
            "ANY LEFT JOIN (\n  SELECT trace_id AS c_trace, observation_id AS c_observation,"
            " count() AS c_scores\n"
            f"  FROM scores FINAL\n  WHERE {OF_PROJECT} AND observation_id != ''\n"
            "  GROUP BY trace_id, observation_id\n"
            ") AS c ON trace_id = c_trace AND id = c_observation"
        ),
        "observations": (
            "ANY LEFT JOIN (\n  SELECT trace_id AS o_trace, id AS o_id, name AS o_name,"
            " model AS o_model,\n    prompt_name AS o_prompt_name,"
            " prompt_version AS o_prompt_version\n"
            f"  FROM observations_slim FINAL\n  WHERE {OF_PROJECT}\n    AND id IN"
            f" (SELECT observation_id FROM scores WHERE {OF_PROJECT} AND observation_id != '')\n"
            ") AS o ON trace_id = o_trace AND observation_id = o_id"
        ),
        "experiments": _experiment_join("trace_id"),
        "trace_experiments": _experiment_join("id"),
    }
)
