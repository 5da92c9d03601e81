"""The version, kept equal to the one in Cargo.toml by a test."""

__version__ = "0.1.0"
