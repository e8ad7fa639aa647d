# Two commands for a fresh machine with Python 3.11 and make:
#   make demo    opens the page
#   make test    runs the tests
# Both make .venv and install into it what constraints.txt says; run again, they install nothing
# unless pyproject.toml or constraints.txt changed.

PYTHON      ?= $(or $(shell command -v python3.11),python3)
HOST        ?= 127.0.0.1
PORT        ?= 7860
# Empty: torch comes from pip's usual index. Give PyTorch's CPU wheel index for the small build.
TORCH_INDEX ?=
ARGS        ?=

VENV  := .venv
PY    := $(VENV)/bin/python
PIP   := $(PY) -m pip install --disable-pip-version-check
PINS  := pyproject.toml constraints.txt
TORCH := $(shell sed -n 's/^\(torch\|torchvision\)==/&/p' constraints.txt)

# A torch index leaves its own mark, so that a second run with the same one has nothing to do.
INDEX_MARK := $(if $(TORCH_INDEX),.torch-$(shell printf '%s' '$(TORCH_INDEX)' | cksum | cut -d' ' -f1),.torch)

.DEFAULT_GOAL := help
.PHONY: help demo browser test lint clean
.DELETE_ON_ERROR:

help: ## Say what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 17
	@echo '  Settings: PORT=7860 HOST=127.0.0.1 TORCH_INDEX=URL PYTHON=python3.11 ARGS="more arguments"'

demo: $(VENV)/.demo ## Install what the page needs, then open it on http://HOST:PORT
	@echo "Starting the page on http://$(HOST):$(PORT) (Ctrl-C stops it)"
	@exec $(PY) -m demo --host $(HOST) --port $(PORT) $(ARGS)

browser: $(VENV)/.browser ## Build the page without a server (takes Node and npm), open it on http://HOST:PORT
	@rm -rf build/browser
	@$(PY) -m browser.build --out build/browser $(ARGS)
	@exec $(PY) -m browser.serve build/browser --host $(HOST) --port $(PORT)

test: $(VENV)/.dev ## Install what the tests need, then run them
	@echo "Running the tests"
	@$(PY) -m pytest $(ARGS)

lint: $(VENV)/.dev ## Check the code's style with ruff
	@$(PY) -m ruff check .

clean: ## Remove .venv and caches; weights, runs and data stay
	@echo "Removing $(VENV) and caches"
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

$(VENV)/.demo: $(PINS) $(VENV)/$(INDEX_MARK)
	@echo "Installing the page's packages into $(VENV)"
	@$(PIP) -c constraints.txt -e '.[demo,fast]'
	@touch $@

$(VENV)/.browser: $(PINS) $(VENV)/$(INDEX_MARK)
	@echo "Installing what building the page takes into $(VENV)"
	@$(PIP) -c constraints.txt -e '.[browser]'
	@touch $@

$(VENV)/.dev: $(PINS) $(VENV)/$(INDEX_MARK)
	@echo "Installing the packages for the page, training and tests into $(VENV)"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo $(VENV)/.browser

# torch and torchvision go in first and together: mixed builds break torchvision's import.
$(VENV)/.torch: constraints.txt | $(VENV)/.created
	@echo "Installing $(TORCH) into $(VENV)"
	@$(PIP) -c constraints.txt $(TORCH)
	@touch $@

# From another index only these two; what they depend on comes from the usual one in the next step.
$(VENV)/.torch-%: constraints.txt | $(VENV)/.created
	@echo "Installing $(TORCH) from $(TORCH_INDEX) into $(VENV)"
	@rm -f $(VENV)/.torch*
	@$(PIP) --no-deps --force-reinstall --index-url '$(TORCH_INDEX)' $(TORCH)
	@touch $(VENV)/.torch $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and $(PYTHON) is not: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@
