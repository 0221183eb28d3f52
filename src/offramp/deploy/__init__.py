"""What stands beside a bundle: files that bring its tiers onto machines, and certificates that keep others out."""

from offramp.deploy.files import deployment_files

__all__ = ["deployment_files"]
