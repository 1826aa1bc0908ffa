# make deps, test, lint and the unit tests. test/README.md says what each suite proves.
PGMAJOR = $(or $(shell $(PG_CONFIG) --version 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/'),15)
DEPS = g++ make postgresql-$(PGMAJOR) postgresql-server-dev-$(PGMAJOR) libhwy-dev libboost-dev \
       libgtest-dev libipc-run-perl clang-format-14 python3 python3-venv python3-numpy python3-psycopg libopenblas0-pthread

.PHONY: deps test test-matrix test-storm test-units test-sanitize test-clients lint unit hooks sanitize
deps:
	@missing=$$(for p in $(DEPS); do dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done | tr '\n' ' '); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "needs these packages (Debian's names): $$missing" >&2; exit 1; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "some packages are missing; run this first:  sudo apt-get install --no-install-recommends $$missing" >&2; exit 1; fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

test:
	@$(MAKE) --no-print-directory deps
	@bash test/run.sh

# Everything at once for ten minutes, with crashes (test/t/031_storm.pl; make test has 30 s of it).
STORM_SECONDS ?= 600
STORM_CRASHES ?= 12
STORM_SEED ?= 1
test-storm:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all
	@test/tools/install.sh >/dev/null
	@STORM_SECONDS=$(STORM_SECONDS) STORM_CRASHES=$(STORM_CRASHES) STORM_SEED=$(STORM_SEED) test/tools/tap.sh test/t/031_storm.pl

# A death of the backend and of the server after every change of an index, in other graphs, too.
UNITS_SEEDS ?= 5
test-units:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s hooks
	@test/tools/install.sh hooks >/dev/null
	@UNITS_STOPS=all UNITS_SEEDS=$(UNITS_SEEDS) ANN_INSTALL=tmp_install_hooks test/tools/tap.sh test/t/030_units.pl test/t/051_ivf_death.pl

# pgvector's clients from PyPI, npm and Go's proxy, unchanged, against this extension under its other name.
test-clients:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all
	@bash test/clients/run.sh

# The same on the servers of Debian's next releases, each in a chroot, with pgvector's package: needs root, and 1.5 GB for
# one after the other. MATRIX_MIRROR: where debootstrap finds them; else it is where apt does.
MATRIX_SUITES ?= trixie forky
MATRIX_TAP ?= $(addprefix test/t/,001_wal.pl 002_recall.pl 004_crash.pl 005_corruption.pl 006_migration.pl 010_vacuum.pl 020_unpinned.pl \
  032_backup.pl 034_interrupts.pl 050_ivf.pl 055_ivf_parallel.pl 060_ivf_stream.pl 062_ivf_attributes.pl 066_ivf_migration.pl \
  070_filters.pl 071_filtered_scan.pl 072_range.pl 073_shim.pl)
test-matrix:
	@MATRIX_MIRROR="$(MATRIX_MIRROR)" MATRIX_TAP="$(MATRIX_TAP)" bash test/matrix/run.sh $(MATRIX_SUITES)

lint:
	@$(MAKE) --no-print-directory -s all
	@bash test/lint/run.sh

# --- unit tests: the core alone, under the address and undefined-behaviour sanitizers -------------
CORE_DIRS = core simd filter quant cluster graph format
UNIT_SRCS = $(sort $(wildcard $(addprefix src/,$(addsuffix /*.cpp,$(CORE_DIRS)))) $(wildcard test/unit/*.cpp))
UNIT_OBJS = $(patsubst %.cpp,build/unit/%.o,$(UNIT_SRCS))
UNIT_FLAGS = -Isrc -Itest/unit -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS -DBOOST_CONTAINER_USER_DEFINED_THROW_CALLBACKS -DBOOST_NO_EXCEPTIONS
build/unit/src/%.o: src/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(CORE_CXXFLAGS) $(UNIT_FLAGS) -MMD -MP -c -o $@ $<
build/unit/test/%.o: test/%.cpp
	@mkdir -p $(@D)
	$(CXX) -std=c++20 -Wall -Wextra $(UNIT_FLAGS) -MMD -MP -c -o $@ $<
build/unit/run: $(UNIT_OBJS)
	$(CXX) -fsanitize=address,undefined -o $@ $^ -lgtest -lgtest_main -lhwy -pthread
-include $(UNIT_OBJS:.o=.d)
unit: build/unit/run
	./build/unit/run --gtest_brief=1

# --- other builds of the same library, beside the ordinary one -------------------------------------
# $(call OTHER_BUILD,x,flags,objects taken as they are): build/x/ann.so; `test/tools/install.sh x`
# installs it into tmp_install_x.
define OTHER_BUILD
OBJS_$(1) = $(3) $$(patsubst %.o,build/$(1)/%.o,$$(filter-out $(3),$$(OBJS)))
build/$(1)/%.o: %.cpp
	@mkdir -p $$(@D)
	$$(CXX) $$(CXXFLAGS) $$(CPPFLAGS) $(2) -MMD -MP -c -o $$@ $$<
build/$(1)/ann.so: $$(OBJS_$(1)) ann.so
	$$(CXX) $$(CXXFLAGS) $(2) -shared -Wl,--version-script=src/exports.list -o $$@ $$(OBJS_$(1)) $$(LDFLAGS) $$(SHLIB_LINK)
-include $$(OBJS_$(1):.o=.d)
$(1): build/$(1)/ann.so
endef

# Test hooks (src/pg/README.md) and assertions. Kernels are the same; the unit tests check them with
# assertions.
HOOK_FLAGS = -DANN_TEST_HOOKS -DUSE_ASSERT_CHECKING -D_GLIBCXX_ASSERTIONS
$(eval $(call OTHER_BUILD,hooks,$(HOOK_FLAGS),$(filter src/simd/%,$(OBJS))))

# The same under the address and undefined-behaviour sanitizers.
SANITIZE_FLAGS = $(HOOK_FLAGS) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
$(eval $(call OTHER_BUILD,sanitize,$(SANITIZE_FLAGS),))
# What starts a server has libasan preloaded. A server gives its memory back by ending, and measures its
# stack by addresses of locals. `env` because PostgreSQL's tests call pg_ctl by its name.
SANITIZE_ENV = LD_PRELOAD=$(shell $(CXX) -print-file-name=libasan.so):$(CURDIR)/build/sanitize/asan_first.so \
  ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1
build/sanitize/asan_first.so: test/tools/asan_first.cpp
	@mkdir -p $(@D)
	$(CXX) -shared -fPIC -O1 -Wl,-z,initfirst -o $@ $<
build/sanitize/bin/pg_ctl: build/sanitize/asan_first.so
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec env %s %s "$$@"\n' "$(SANITIZE_ENV)" "$(bindir)/pg_ctl" >$@ && chmod 755 $@
sanitize: build/sanitize/bin/pg_ctl

# The suites that need a server on that build; takes a quarter of an hour.
test-sanitize:
	@$(MAKE) --no-print-directory deps
	@bash test/run.sh sanitize
