# The targets users and developers need; `make help` lists them.
EXTENSION = ann
EXTVERSION = 0.1.0
MODULE_big = ann
OBJS = $(patsubst %.cpp,%.o,$(sort $(wildcard src/*/*.cpp)))
# The installation script is put together from its parts, in order of their names.
INSTALL_SQL = sql/ann--$(EXTVERSION).sql
DATA = $(INSTALL_SQL)

# The C++ driver links, so that the C++ runtime is found; no JIT bitcode: hot code sits behind
# function pointers and PGXS passes no C++20 flag to clang.
override COMPILER = $(CXX) $(CXXFLAGS)
override with_llvm = no
SHLIB_EXPORTS = src/exports.txt
# PostgreSQL 15 does not define PGDLLEXPORT as a visibility attribute; 16 and later do.
PG_CPPFLAGS = -I$(srcdir)/src -isystem $(includedir_server) -DBOOST_CONTAINER_USER_DEFINED_THROW_CALLBACKS \
  -DBOOST_NO_EXCEPTIONS -DBOOST_ENABLE_ASSERT_HANDLER '-DPGDLLEXPORT=__attribute__((visibility("default")))'
CORE_CXXFLAGS = -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden \
  -fvisibility-inlines-hidden -Wall -Wextra -Wshadow -Wno-unused-parameter -Wno-missing-field-initializers
PG_CXXFLAGS = $(CORE_CXXFLAGS) -O3 -fno-gnu-unique -Wno-register $(if $(WERROR),-Werror) $(ANN_CXXFLAGS)
SHLIB_LINK += -lhwy -Wl,--exclude-libs,ALL

REGRESS = $(filter-out ann--%,$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql))))
REGRESS_OPTS = --load-extension=ann
ISOLATION = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=ann
EXTRA_CLEAN = $(INSTALL_SQL) build tmp_install tmp_install_* tmp_check results output_iso $(OBJS:.o=.d)

.DEFAULT_GOAL := all
PG_CONFIG ?= pg_config
# A machine without the server's headers can still run `make deps` and `make help`.
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)

# Real dependencies, one .d beside each object (PGXS leaves C++ without any on Debian).
%.o: %.cpp
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
-include $(OBJS:.o=.d)
endif

all install: $(INSTALL_SQL)
$(INSTALL_SQL): $(sort $(wildcard sql/ann/*.sql))
	@for part in $^; do cat $$part && echo; done >$@.new && mv $@.new $@

include shim/shim.mk
include test/test.mk
include demo/demo.mk
include bench/bench.mk

.PHONY: help format
help:
	@echo "make            build the extension"
	@echo "make install    install it into the server that $(PG_CONFIG) names"
	@echo "make install-shim  the same as an extension named vector; make uninstall-shim"
	@echo "make deps       install what building and testing need (as root; else prints how)"
	@echo "make demo       semantic search over this machine's package catalogue"
	@echo "make test       all tests, on a private server"
	@echo "make test-storm everything at once for ten minutes, with crashes"
	@echo "make test-matrix  on newer PostgreSQL, in chroots (root)"
	@echo "make test-units deaths after every change of an index, some minutes"
	@echo "make test-sanitize  those that need a server, under the sanitizers"
	@echo "make test-clients   pgvector's clients, unchanged, against this extension"
	@echo "make lint       the checks C1-C6 and the format"
	@echo "make bench      a small benchmark; make bench-full, make bench-churn: all of it"
	@echo "make format     clang-format the sources"

format:
	clang-format-14 -i $(wildcard src/*/*.cpp src/*/*.hpp test/unit/*.cpp test/unit/*.hpp bench/kernels/*.cpp)
