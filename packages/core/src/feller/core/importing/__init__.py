"""Import: models of other libraries as feller models.

A folder (or file) is shown to importers, which the installed domains register in
`Domain.importers`. The one that recognises it reads the configuration, makes a feller model and
renames the weights; unsupported models raise a one-line error. No pickle is read in this process
(`feller.core.importing.pickles`), and no code in a folder is run.
"""

from feller.core.importing.base import Imported, Importer, Read
from feller.core.importing.families import import_model, is_foreign
from feller.core.importing.folder import Foreign
from feller.core.importing.tensors import Tensors

__all__ = ["Foreign", "Imported", "Importer", "Read", "Tensors", "import_model", "is_foreign"]
