# make bench: the data set of the tree, minutes. make bench-full: every k and client count; make
# bench-churn: what writes cost and leave behind; both meant for a larger set, `make bench-full
# BENCH_DATA=DIR`. All on a private server, unless BENCH_DSN names a running one (which must have
# the extension installed). bench/README.md says more.
BENCH_RUN = bench/.run
BENCH_PYTHON = $(BENCH_RUN)/venv/bin/python
BENCH_DATA ?= test/data
BENCH_DSN ?=
BENCH_ARGS ?=

.PHONY: bench bench-full bench-churn bench-check
bench bench-full bench-churn: deps $(BENCH_RUN)/venv/.ready
	@PG_CONFIG="$(PG_CONFIG)" BENCH_RUN="$(BENCH_RUN)" BENCH_DATA="$(BENCH_DATA)" \
	  BENCH_DSN="$(BENCH_DSN)" bash bench/run.sh $@ $(BENCH_ARGS)

# The tool's own tests: figures and truth, no server.
bench-check: $(BENCH_RUN)/venv/.ready
	$(BENCH_PYTHON) -m unittest -v bench/test_*.py

$(BENCH_RUN)/venv/.ready: bench/requirements.txt bench/requirements-limit.txt
	@mkdir -p $(BENCH_RUN)
	python3 -m venv --system-site-packages $(BENCH_RUN)/venv
	$(BENCH_PYTHON) -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	$(BENCH_PYTHON) -m pip install --quiet --disable-pip-version-check -r bench/requirements-limit.txt || \
	  echo "hnswlib is left out: it is compiled when it is installed, which needs g++ and Python's headers (python3-dev)"
	@touch $@
