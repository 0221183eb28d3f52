"""All files that stand beside a bundle."""

from offramp.bundle.manifest import Manifest
from offramp.deploy.compose import compose
from offramp.deploy.images import ARCHITECTURES, dockerfile
from offramp.deploy.kubernetes import kubernetes
from offramp.deploy.readme import readme


def deployment_files(bundle: Manifest) -> dict[str, str]:
    """Texts by their place in the bundle's folder. They name hosts, never addresses."""
    return {
        "README.md": readme(bundle),
        "deploy/compose.yaml": compose(bundle),
        **{f"deploy/Dockerfile.{architecture}": dockerfile(architecture) for architecture in ARCHITECTURES},
        "deploy/kubernetes.yaml": kubernetes(bundle),
    }
