"""A ResNet of 16 channels under torchvision's names, for the tiny checkpoints: --backbone models/export/tiny_backbone.py."""

import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock

WIDTH = 16


class NarrowResNet(nn.Module):
    """The layers of torchvision's ResNet with one block each."""

    def __init__(self, replace_stride_with_dilation=None, weights=None, norm_layer=nn.BatchNorm2d):
        super().__init__()
        if weights is not None or (replace_stride_with_dilation and any(replace_stride_with_dilation)):
            raise ValueError("the narrow ResNet has no weights and no dilation")
        self.conv1 = nn.Conv2d(3, WIDTH, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(WIDTH)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (block(stride, norm_layer) for stride in (1, 2, 2, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(WIDTH, 10)


def block(stride, norm_layer):
    downsample = None
    if stride != 1:
        downsample = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, kernel_size=1, stride=stride, bias=False), norm_layer(WIDTH))
    return nn.Sequential(BasicBlock(WIDTH, WIDTH, stride, downsample, norm_layer=norm_layer))


def resnet_narrow(**options):
    return NarrowResNet(**options)


torchvision.models.resnet_narrow = resnet_narrow
