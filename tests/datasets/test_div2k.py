import dataclasses
import hashlib
import http.server
import io
import shutil
import socket
import threading
import time
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from sr_keras.datasets import decode, div2k
from sr_keras.datasets import div2k as function  # noqa: F401
