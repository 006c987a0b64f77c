"""Weights of other programs: read without running anything in them, mapped, and written back."""

from labkit.weights.transfer import LoadReport, export_torchvision, load_torchvision

__all__ = ["LoadReport", "export_torchvision", "load_torchvision"]
