# Targets of the demo; included by the top Makefile.
.PHONY: demo demo-search demo-stop demo-clean

demo:
	@$(MAKE) --no-print-directory deps
	@mkdir -p demo/.run build
	@echo "building ann (log: build/demo-build.log)"
	@{ $(MAKE) -j"$$(nproc)" all && test/tools/install.sh; } \
	  >build/demo-build.log 2>&1 || { tail -n 20 build/demo-build.log >&2; exit 1; }
	@demo/run.sh show

# The question reaches the shell by the environment: quotes and dollars in it are only text.
demo-search: export ANN_DEMO_QUERY = $(value Q)
demo-search:
	@demo/run.sh search "$$ANN_DEMO_QUERY"

demo-stop:
	@demo/run.sh stop

demo-clean:
	@demo/run.sh clean
