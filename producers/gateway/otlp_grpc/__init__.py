"""OTLP over gRPC. Importing ``server`` imports grpcio; this package alone does not."""
