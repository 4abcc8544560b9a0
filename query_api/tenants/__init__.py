"""Operations on projects and keys, for both APIs (``/v1`` and Langfuse's)."""
