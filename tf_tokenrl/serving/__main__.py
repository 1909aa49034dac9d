"""`python -m tf_tokenrl.serving --model_base_path=...`"""

import sys

from tf_tokenrl import serving
from tf_tokenrl.errors import TokenRLError

try:
    flags = serving.parse(sys.argv[1:])
    serving.serve(flags)
except TokenRLError as error:
    print(f"tf-tokenrl serve: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt:  # while TensorFlow is imported
    sys.exit(130)
