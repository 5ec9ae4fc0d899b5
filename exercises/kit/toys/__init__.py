"""Toy models: small enough to print, each built to show one thing that real models do.

The ones that the lessons show stand here by name; the others, for hidden tests, in modules of their own.
"""

from exercises.kit.toys.small_models import (
    Answering as Answering,
)
from exercises.kit.toys.small_models import (
    Convolutional as Convolutional,
)
from exercises.kit.toys.small_models import (
    DummyModel as DummyModel,
)
from exercises.kit.toys.small_models import (
    IntegerInput as IntegerInput,
)
from exercises.kit.toys.small_models import (
    Mlp as Mlp,
)
from exercises.kit.toys.small_models import (
    Output as Output,
)
from exercises.kit.toys.small_models import (
    Scale as Scale,
)
from exercises.kit.toys.small_models import (
    TiedModel as TiedModel,
)
from exercises.kit.toys.small_models import (
    TwoNames as TwoNames,
)
from exercises.kit.toys.small_models import (
    WithoutTensors as WithoutTensors,
)
from exercises.kit.toys.small_models import (
    answering as answering,
)
from exercises.kit.toys.small_models import (
    convolutional as convolutional,
)
from exercises.kit.toys.small_models import (
    dummy_input as dummy_input,
)
from exercises.kit.toys.small_models import (
    dummy_model as dummy_model,
)
from exercises.kit.toys.small_models import (
    integer_input as integer_input,
)
from exercises.kit.toys.small_models import (
    mixed_dtypes as mixed_dtypes,
)
from exercises.kit.toys.small_models import (
    mlp as mlp,
)
from exercises.kit.toys.small_models import (
    mlp_from as mlp_from,
)
from exercises.kit.toys.small_models import (
    module_under_two_names as module_under_two_names,
)
from exercises.kit.toys.small_models import (
    on_meta as on_meta,
)
from exercises.kit.toys.small_models import (
    outlier_mlp as outlier_mlp,
)
from exercises.kit.toys.small_models import (
    random_input as random_input,
)
from exercises.kit.toys.small_models import (
    root_leaf as root_leaf,
)
from exercises.kit.toys.small_models import (
    seeded as seeded,
)
from exercises.kit.toys.small_models import (
    tied as tied,
)
from exercises.kit.toys.small_models import (
    tied_groups as tied_groups,
)
from exercises.kit.toys.small_models import (
    without_tensors as without_tensors,
)
