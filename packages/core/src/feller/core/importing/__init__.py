"""Models that others trained, as models of ours.

A folder (or a file) of theirs is looked at by importers, which the installed domains register in
`Domain.importers`. The one that recognises it reads its configuration, makes one of ours and puts
its weights under our names; what cannot be held is refused in one line. No pickle is read in this
process (`feller.core.importing.pickles`), and no code of a folder is run.
"""

from feller.core.importing.base import Imported, Importer, Read
from feller.core.importing.families import import_model, is_foreign
from feller.core.importing.folder import Foreign
from feller.core.importing.tensors import Tensors

__all__ = ["Foreign", "Imported", "Importer", "Read", "Tensors", "import_model", "is_foreign"]
