"""What stands beside a bundle: files for Docker Compose and Kubernetes, and certificates."""

from offramp.deploy.files import deployment_files

__all__ = ["deployment_files"]
