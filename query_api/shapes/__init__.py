"""What answers look like: one struct per object of the API, encoded by msgspec and described in the OpenAPI document."""
