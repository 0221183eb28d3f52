"""Plan, train and run deep networks with early exits across a device, an edge and a cloud.

The public names are those of `__init__.pyi`; each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
