"""Langfuse's ingestion and scores routes."""
