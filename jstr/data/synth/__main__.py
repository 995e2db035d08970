"""python -m jstr.data.synth: a contact sheet of rendered words, see jstr/data/preview.py."""

import sys

from jstr.data.preview import main

sys.exit(main())
