"""`python -m authoring.locks` prints all faults of the book."""

from authoring.locks import main

raise SystemExit(main())
