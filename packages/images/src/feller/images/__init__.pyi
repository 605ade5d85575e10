from feller.core.domains import Domain
from feller.images.classifier import Classifier as Classifier
from feller.images.classifier import ClassifierConfig as ClassifierConfig
from feller.images.classifier import classifier_for as classifier_for
from feller.images.classifier import load_classifier as load_classifier
from feller.images.codec import ImageCodec as ImageCodec
from feller.images.conditions import Given as Given
from feller.images.conditions import read_image as read_image
from feller.images.conditions import read_mask as read_mask
from feller.images.data import ArrayImages as ArrayImages
from feller.images.data import DataError as DataError
from feller.images.data import FolderImages as FolderImages
from feller.images.data import ImageData as ImageData
from feller.images.drawing import interpolate as interpolate
from feller.images.drawing import invert as invert
from feller.images.drawing import pairs as pairs
from feller.images.drawing import slerp as slerp
from feller.images.metrics.kid import kernel_distance as kernel_distance
from feller.images.metrics.kid import nearest_neighbour_ratio as nearest_neighbour_ratio
from feller.images.metrics.report import class_fractions as class_fractions
from feller.images.metrics.report import conditional_accuracy as conditional_accuracy
from feller.images.metrics.report import evaluate as evaluate
from feller.images.models import ImageModel as ImageModel
from feller.images.models import ImageModelConfig as ImageModelConfig
from feller.images.networks import DIT_SIZES as DIT_SIZES
from feller.images.networks import DiT as DiT
from feller.images.networks import DiTConfig as DiTConfig
from feller.images.networks import UNet as UNet
from feller.images.networks import UNetConfig as UNetConfig
from feller.images.networks.convert import unet_from_diffusers as unet_from_diffusers
from feller.images.recipes import cifar10_dit_flow as cifar10_dit_flow
from feller.images.recipes import cifar10_flow as cifar10_flow
from feller.images.recipes import drawn_flow as drawn_flow
from feller.images.recipes import fashion_flow as fashion_flow
from feller.images.recipes import fashion_meanflow as fashion_meanflow
from feller.images.recipes import fashion_reflow as fashion_reflow
from feller.images.recipes import mnist_flow as mnist_flow
from feller.images.sampling import Sampling as Sampling
from feller.images.schedules import Tabulated as Tabulated
from feller.images.shapes import draw_shapes as draw_shapes
from feller.images.writing import write_images as write_images

DOMAIN: Domain
__version__: str
