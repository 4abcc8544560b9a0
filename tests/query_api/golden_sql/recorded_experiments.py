"""The SQL of queries of experiments that spans record."""

from query_api.store.queries.recorded_experiments import (
    FindExperimentItems,
    FindExperiments,
    where_is,
)
from tests.query_api.golden_sql.example import NASTY, Example

RECORDED_EXPERIMENTS: list[Example] = [
    (
        FindExperiments("acme", where_is(experimentId=NASTY, since_us=5, until_us=9), 3, (7, "x")),
        """
        SELECT experiment_id AS id, argMax(metadata, (start_time, item_id)) AS metadata,
          toUnixTimestamp64Micro(min(start_time)) AS start_us,
          toUnixTimestamp64Micro(max(until)) AS end_us,
          uniqExact(item_id) AS item_count
        FROM (
        SELECT experiment_id, metadata, start_time, greatest(start_time, end_time) AS until,
          JSONExtractString(metadata, 'langfuse.experiment.item.id') AS item_id
        FROM (
          SELECT trace_id, id, parent_id, start_time, end_time, row_version, is_deleted, level,
            environment, metadata, experiment_id
          FROM observations
          WHERE project_id = {project_id:String}
            AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
            AND start_time < fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
            AND (trace_id, id) IN (
            SELECT trace_id, id FROM observations
            WHERE project_id = {project_id:String}
              AND start_time >= fromUnixTimestamp64Micro({p1:Int64}, 'UTC')
              AND start_time < fromUnixTimestamp64Micro({p2:Int64}, 'UTC')
              AND experiment_id > ''
              AND if(JSONExtractString(metadata,
                'langfuse.experiment.item.root_observation_id') = '', parent_id = '',
                JSONExtractString(metadata,
                'langfuse.experiment.item.root_observation_id') = id)
              AND experiment_id = {p3:String}
            )
          ORDER BY row_version DESC, is_deleted
          LIMIT 1 BY trace_id, id
        )
        WHERE is_deleted = 0
          AND experiment_id > ''
          AND if(JSONExtractString(metadata,
            'langfuse.experiment.item.root_observation_id') = '', parent_id = '',
            JSONExtractString(metadata,
            'langfuse.experiment.item.root_observation_id') = id)
          AND experiment_id = {p3:String}
        )
        GROUP BY experiment_id
        HAVING (end_us, id) < ({p4:Int64}, {p5:String})
        ORDER BY end_us DESC, id DESC
        LIMIT {p6:UInt32}
        """,
        {"project_id": "acme", "p1": 5, "p2": 9, "p3": NASTY, "p4": 7, "p5": "x", "p6": 3},
    ),
    (
        FindExperimentItems("acme", where_is(datasetId="d"), 3, (7, "t", "x"), io=True),
        """
        SELECT experiment_id, trace_id, id, toUnixTimestamp64Micro(start_time) AS start_us,
          toUnixTimestamp64Micro(end_time) AS end_us, level, environment, metadata, input, output
        FROM (
          SELECT trace_id, id, parent_id, start_time, end_time, row_version, is_deleted, level,
            environment, metadata, experiment_id, input, output
          FROM observations
          WHERE project_id = {project_id:String}
            AND (trace_id, id) IN (
            SELECT trace_id, id FROM observations
            WHERE project_id = {project_id:String}
              AND experiment_id > ''
              AND if(JSONExtractString(metadata,
                'langfuse.experiment.item.root_observation_id') = '', parent_id = '',
                JSONExtractString(metadata,
                'langfuse.experiment.item.root_observation_id') = id)
              AND JSONExtractString(metadata, 'langfuse.experiment.dataset.id') = {p1:String}
            )
          ORDER BY row_version DESC, is_deleted
          LIMIT 1 BY trace_id, id
        )
        WHERE is_deleted = 0
          AND experiment_id > ''
          AND if(JSONExtractString(metadata,
            'langfuse.experiment.item.root_observation_id') = '', parent_id = '',
            JSONExtractString(metadata,
            'langfuse.experiment.item.root_observation_id') = id)
          AND JSONExtractString(metadata, 'langfuse.experiment.dataset.id') = {p1:String}
          AND (toUnixTimestamp64Micro(start_time), trace_id, id)
            < ({p2:Int64}, {p3:String}, {p4:String})
        ORDER BY start_us DESC, trace_id DESC, id DESC
        LIMIT {p5:UInt32}
        """,
        {"project_id": "acme", "p1": "d", "p2": 7, "p3": "t", "p4": "x", "p5": 3},
    ),
]  # fmt: skip
