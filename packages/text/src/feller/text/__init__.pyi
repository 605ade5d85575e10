from feller.core.domains import Domain
from feller.text.autoregressive import CausalModel as CausalModel
from feller.text.autoregressive import CausalModelConfig as CausalModelConfig
from feller.text.codec import TextCodec as TextCodec
from feller.text.corpora import Corpus as Corpus
from feller.text.corpora import documents as documents
from feller.text.data import TextData as TextData
from feller.text.data import Windows as Windows
from feller.text.models import TextModel as TextModel
from feller.text.models import TextModelConfig as TextModelConfig
from feller.text.networks import HuggingFaceConfig as HuggingFaceConfig
from feller.text.networks import HuggingFaceNetwork as HuggingFaceNetwork
from feller.text.networks import TextNetworkConfig as TextNetworkConfig
from feller.text.networks import TextTransformer as TextTransformer
from feller.text.networks import TextTransformerConfig as TextTransformerConfig
from feller.text.recipes import books_ar as books_ar
from feller.text.recipes import books_mask as books_mask
from feller.text.recipes import lm1b_mask as lm1b_mask
from feller.text.recipes import lm1b_uniform as lm1b_uniform
from feller.text.recipes import owt_mask as owt_mask
from feller.text.recipes import owt_uniform as owt_uniform
from feller.text.recipes import shakespeare_ar as shakespeare_ar
from feller.text.recipes import shakespeare_mask as shakespeare_mask
from feller.text.recipes import stdlib_ar as stdlib_ar
from feller.text.recipes import stdlib_mask as stdlib_mask
from feller.text.recipes import stdlib_uniform as stdlib_uniform
from feller.text.recipes import text8_ar as text8_ar
from feller.text.recipes import text8_mask as text8_mask
from feller.text.recipes import text8_uniform as text8_uniform
from feller.text.sampling import Context as Context
from feller.text.sampling import Sampling as Sampling
from feller.text.sampling import context as context
from feller.text.tokenizers import Bytes as Bytes
from feller.text.tokenizers import Characters as Characters
from feller.text.tokenizers import Pieces as Pieces
from feller.text.tokenizers import Tokenizer as Tokenizer
from feller.text.tokenizers import TokenizerError as TokenizerError
from feller.text.vocabulary import Vocabulary as Vocabulary

DOMAIN: Domain
__version__: str
