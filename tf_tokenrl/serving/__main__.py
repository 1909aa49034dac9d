"""`python -m tf_tokenrl.serving --model_base_path=...`"""

import sys

from tf_tokenrl import serving
from tf_tokenrl.errors import TokenRLError

try:
    flags = serving.parse(sys.argv[1:])
    serving.serve(flags)
except TokenRLError as error:
    sys.exit(f"tf-tokenrl serve: {error}")
except KeyboardInterrupt:  # while TensorFlow is imported
    sys.exit(130)
