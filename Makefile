# Two commands for a newcomer, `make demo` and `make test`; both set up first.
PYTHON ?= python3
ENVIRONMENT := .venv/bin/python
STAMP := .venv/.installed
# Two processes; the tests of a file stay together.
TWO := --numprocesses=2 --dist=loadfile
CHECKED := tests/ops tests/schedules tests/rewards tests/algorithms \
	tests/test_architecture.py tests/test_catalog.py tests/test_errors.py

.PHONY: setup demo test test-serving test-all check docs lint lock clean

setup: $(STAMP)

# Installs exactly what requirements.lock pins, hashes checked, with plain pip.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else 'Python %d.%d does not run TensorFlow 2.21: choose one of 3.11 to 3.13 with make PYTHON=python3.11.' % v)"
	@echo "Setting up .venv: about two minutes, once."
	$(PYTHON) -m venv --clear .venv
	$(ENVIRONMENT) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes --requirement requirements.lock
	$(ENVIRONMENT) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP)
	@.venv/bin/tf-tokenrl demo

test: $(STAMP)
	@$(ENVIRONMENT) -m pytest $(TWO) -m "not slow"

test-all: $(STAMP)
	@$(ENVIRONMENT) -m pytest $(TWO)

# The serving side alone.
test-serving: $(STAMP)
	@$(ENVIRONMENT) -m pytest $(TWO) -m "not slow" tests/serving tests/client tests/parity tests/deployment

# Under a minute: the mathematics, the floor plan, style and types.
check: $(STAMP) lint
	@$(ENVIRONMENT) -m pytest $(TWO) -m "not slow" $(CHECKED)

docs: $(STAMP)
	@$(ENVIRONMENT) -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo "Open build/docs/index.html."

lint: $(STAMP)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

# Needs uv, a development tool; everything else needs only the Python above.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra all --extra test --extra dev --extra docs --output-file requirements.lock

clean:
	rm -rf .venv build dist *.egg-info
