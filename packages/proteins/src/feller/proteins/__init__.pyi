from feller.core.domains import Domain
from feller.proteins.codec import ProteinCodec as ProteinCodec
from feller.proteins.data.dataset import ProteinData as ProteinData
from feller.proteins.data.filters import Filters as Filters
from feller.proteins.design.conditioning import Given as Given
from feller.proteins.design.conditioning import backbone_of as backbone_of
from feller.proteins.design.conditioning import motif_of as motif_of
from feller.proteins.design.conditioning import sequence_of as sequence_of
from feller.proteins.drawing import Drawing as Drawing
from feller.proteins.inverse_folding import InverseFoldingModel as InverseFoldingModel
from feller.proteins.losses import FrameLoss as FrameLoss
from feller.proteins.models import ProteinModel as ProteinModel
from feller.proteins.models import ProteinModelConfig as ProteinModelConfig
from feller.proteins.networks import FrameTransformer as FrameTransformer
from feller.proteins.networks import FrameTransformerConfig as FrameTransformerConfig
from feller.proteins.paths import FramePath as FramePath
from feller.proteins.recipes import frameflow as frameflow
from feller.proteins.recipes import multiflow as multiflow
from feller.proteins.recipes import short_codesign as short_codesign
from feller.proteins.recipes import short_flow as short_flow
from feller.proteins.recipes import short_jump as short_jump
from feller.proteins.sampling import Sampling as Sampling
from feller.proteins.so3.diffusion import RotationDiffusion as RotationDiffusion
from feller.proteins.so3.paths import FisherPath as FisherPath
from feller.proteins.so3.paths import HeatKernelPath as HeatKernelPath
from feller.proteins.so3.paths import IsotropicPath as IsotropicPath
from feller.proteins.so3.rotations import Rotations as Rotations
from feller.proteins.so3.sources import UniformRotations as UniformRotations
from feller.proteins.structure.chain import Chain as Chain
from feller.proteins.structure.reading import read_chains as read_chains
from feller.proteins.structure.writing import write_chains as write_chains
from feller.proteins.times import FrameTimes as FrameTimes

DOMAIN: Domain
__version__: str
