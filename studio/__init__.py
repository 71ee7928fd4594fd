"""Quintet's studio: queue, workers, registry, outputs, history and page around the methods in `models`."""
