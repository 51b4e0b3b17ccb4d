# make book    set up .venv, build the site to _build/html        make test    set up, fetch the data, run all tests
# The other targets are listed by `make help`. README.md gives each as plain lines for systems without make.

PYTHON ?= python3
# Options for pip, for example PyTorch's builds without CUDA, which are much smaller:
# make book WHEELS="--extra-index-url https://download.pytorch.org/whl/cpu"
WHEELS ?=
CONSTRAINTS ?= constraints.txt
# make test COVERAGE=--cov also measures which lines the unit tests execute, and takes a third longer.
COVERAGE ?=

BIN := .venv/bin
READY := .venv/.installed

# What set-up needs, said in one line where it is missing. It must be understood by any Python, however old.
define CHECK
import shutil, sys, tempfile
if sys.version_info < (3, 11):
    sys.exit("The book needs Python 3.11 or newer, and %s is %d.%d: install a newer one and name it, as in "
             "make book PYTHON=python3.12" % ((sys.executable,) + tuple(sys.version_info[:2])))
try:
    import ensurepip, venv
except ImportError:
    sys.exit("Python's module venv is missing: on Debian and Ubuntu, "
             "sudo apt install python%d.%d-venv" % tuple(sys.version_info[:2]))
for place in (".", tempfile.gettempdir()):
    free = shutil.disk_usage(place).free / 1e9
    if free < 4:
        sys.exit("The disk is too full: set-up needs 4 GB (without CUDA), and %s has %.1f GB left: free some, "
                 "or set TMPDIR to a folder on another disk if that is the place named" % (place, free))
endef
export CHECK

.PHONY: help check book test test-imitated lab notebooks lint serve clean

help:
	@echo "book           build the site to _build/html"
	@echo "test           fetch the data; run all tests: unit tests, locks, site, every notebook"
	@echo "test-imitated  run once more, as an imitated AVX2 CPU, the notebooks that changed since they last passed"
	@echo "lab            open JupyterLab"
	@echo "notebooks      execute the notebooks that changed, and write their generated cells"
	@echo "lint           check style, types and spelling"
	@echo "serve          build the site and serve it on this machine"
	@echo "clean          remove what was built (not .venv)"

check:
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c "$$CHECK"

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(MAKE) --no-print-directory check
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e ".[book,test,dev]" -c $(CONSTRAINTS) $(WHEELS) || { $(PYTHON) -c "$$CHECK"; exit 1; }
	@touch $@

book: $(READY)
	$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "The site is ready: open $(CURDIR)/_build/html/index.html, or run make serve."

test: $(READY)
	$(BIN)/python -m dlbook.data
	$(BIN)/python -m pytest tests -n 2 --dist loadfile --no-loadscope-reorder $(COVERAGE)
	$(BIN)/python -m pytest --nbval book -n 2 --dist loadfile

test-imitated: $(READY)
	$(BIN)/python -m authoring.imitate

lab: $(READY)
	$(BIN)/jupyter lab

notebooks: $(READY)
	$(BIN)/python -m authoring.build

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

serve: book
	$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
