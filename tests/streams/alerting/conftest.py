from tests.streams.project_pipeline import pipeline, until

__all__ = ["pipeline", "until"]
