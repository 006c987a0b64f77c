# labkit: `make demo` shows what it does, `make test` proves it, `make lab` opens the course.
# Every target builds .venv first when it is missing or older than pyproject.toml.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

EXTRAS ?= lab,dev
ARGS ?=
PYTHON ?= python3.13 python3.12 python3.11 python3
VENV := .venv
STAMP := $(VENV)/.installed
# A virtual environment does not survive being moved: the stamp holds where it was made, and the
# environment is made anew when that is somewhere else.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR) [$(EXTRAS)])
.PHONY: $(STAMP)
endif

.PHONY: help
help: ## this list
	@echo "labkit. Needs Python 3.11 or newer and the package index; everything lands in $(VENV)/."
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done
	@echo "  ARGS=... is handed on, e.g. make test ARGS='tests/test_cli.py -x'."
	@echo "  PYTHON=... picks the Python, EXTRAS=lab,dev,gpu adds NVIDIA's libraries."

.PHONY: demo
demo: $(STAMP) ## train a small Mask R-CNN on two cores, evaluate it, leave it all in runs/demo/
	@$(VENV)/bin/labkit demo $(ARGS)

.PHONY: test
test: $(STAMP) ## the tests (without the slow ones: see test-slow)
	@echo "labkit: running the tests (a few minutes)"
	@$(VENV)/bin/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile \
	  --no-loadscope-reorder $(ARGS)

.PHONY: test-slow
test-slow: $(STAMP) ## the tests that train for minutes
	@echo "labkit: running the slow tests (they train models: up to an hour on two cores)"
	@$(VENV)/bin/python -m pytest -m slow $(ARGS)

.PHONY: lab
lab: $(STAMP) ## JupyterLab on the course
	@echo "labkit: opening notebooks/00_tour.ipynb in JupyterLab; Ctrl-C here ends it"
	@$(VENV)/bin/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00_tour.ipynb $(ARGS)

.PHONY: notebooks
notebooks: $(STAMP) ## runs every notebook from a clean kernel and saves it with its outputs
	@$(VENV)/bin/python -m labkit.course.notebooks $(or $(ARGS),notebooks/*.ipynb)

.PHONY: student
student: $(STAMP) ## copies of the notebooks without solutions and outputs, in runs/student/
	@$(VENV)/bin/python -m labkit.course.notebooks --student runs/student notebooks/*.ipynb

# What teachers need beyond the rest: the extra "teach", installed when it is first asked for.
TEACH := $(VENV)/.teach
$(TEACH): $(STAMP) pyproject.toml
	@echo "labkit: installing what site, slides and grading need"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[teach]"
	@touch $@

.PHONY: site
site: $(TEACH) ## the course as web pages with live explorers, in runs/site/ (REPOSITORY=owner/name)
	@$(VENV)/bin/python -m labkit.course.web.site runs/site --reference \
	  $(if $(REPOSITORY),--repository $(REPOSITORY)) $(ARGS)

.PHONY: slides
slides: $(TEACH) ## each notebook as slides, one HTML file each, in runs/slides/
	@$(VENV)/bin/python -m labkit.course.web.slides runs/slides notebooks/*.ipynb

.PHONY: grading
grading: $(TEACH) ## the exercises as an nbgrader assignment, in runs/grading/
	@$(VENV)/bin/python -m labkit.course.grading runs/grading notebooks/*.ipynb

.PHONY: lint
lint: $(STAMP) ## style, format and the direction of imports
	@$(VENV)/bin/ruff check . $(ARGS)
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/lint-imports --no-cache

.PHONY: clean
clean: ## remove .venv and caches (runs/ stays)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Prints the Python to use, or says in one sentence what is missing.
define FIND_PYTHON
no_venv=""; \
for name in $(PYTHON); do \
  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
  if "$$name" -c 'import ensurepip, venv' 2>/dev/null; then echo "$$name"; exit 0; fi; \
  no_venv="$$name"; \
done; \
if [ -n "$$no_venv" ]; then \
  version=$$("$$no_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
  echo "labkit: $$no_venv cannot make virtual environments (no ensurepip); on Debian or Ubuntu run: sudo apt install python$$version-venv" >&2; \
else \
  echo "labkit: no Python 3.11 or newer found (tried $(PYTHON)); install one, or name it: make PYTHON=/path/to/python3 ..." >&2; \
fi; \
exit 1
endef

$(STAMP): pyproject.toml
	@if ! $(VENV)/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || [ "$$(cat $(STAMP) 2>/dev/null | cut -d'[' -f1)" != "$(CURDIR) " -a -e $(STAMP) ]; then \
	  python=$$($(FIND_PYTHON)); \
	  echo "labkit: making $(VENV) with $$($$python --version) ($$python)"; \
	  $$python -m venv --clear $(VENV); \
	else \
	  echo "labkit: $(VENV) is unfinished or older than pyproject.toml, bringing it up to date"; \
	fi
	@echo "labkit: installing labkit and what it needs: TensorFlow is large, the first time takes minutes"
	@$(VENV)/bin/python -m pip install --disable-pip-version-check -e '.[$(EXTRAS)]' \
	  | sed '/^Requirement already satisfied/d;/^Looking in/d'
	@echo "$(CURDIR) [$(EXTRAS)]" > $(STAMP)
	@echo "labkit: $(VENV) is ready"
