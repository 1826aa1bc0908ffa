# make deps, test, lint and the unit tests. test/README.md says what each suite proves.
PGMAJOR = $(or $(shell $(PG_CONFIG) --version 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/'),15)
DEPS = g++ make postgresql-$(PGMAJOR) postgresql-server-dev-$(PGMAJOR) libhwy-dev libboost-dev \
       libgtest-dev libipc-run-perl clang-format-14 python3 python3-venv python3-numpy libopenblas0-pthread

.PHONY: deps test test-storm lint unit hooks
deps:
	@missing=$$(for p in $(DEPS); do dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done | tr '\n' ' '); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "needs these packages (Debian's names): $$missing" >&2; exit 1; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "some packages are missing; run this first:  sudo apt-get install --no-install-recommends $$missing" >&2; exit 1; fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

test:
	@$(MAKE) --no-print-directory deps
	@bash test/run.sh

# Everything at once for ten minutes, with crashes (test/t/031_storm.pl; make test has 24 s of it).
STORM_SECONDS ?= 600
STORM_CRASHES ?= 12
STORM_SEED ?= 1
test-storm:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory -s all
	@test/tools/install.sh >/dev/null
	@STORM_SECONDS=$(STORM_SECONDS) STORM_CRASHES=$(STORM_CRASHES) STORM_SEED=$(STORM_SEED) test/tools/tap.sh test/t/031_storm.pl

lint:
	@$(MAKE) --no-print-directory -s all
	@bash test/lint/run.sh

# --- unit tests: the core alone, under the address and undefined-behaviour sanitizers -------------
CORE_DIRS = core simd quant cluster graph format
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

# --- the hook build: ann.so with test hooks (src/pg/README.md) and assertions ----------------------
# Kernels are the same; the unit tests check them with assertions.
HOOK_OBJS = $(filter src/simd/%,$(OBJS)) $(patsubst %.o,build/hooks/%.o,$(filter-out src/simd/%,$(OBJS)))
HOOK_FLAGS = -DANN_TEST_HOOKS -DUSE_ASSERT_CHECKING -D_GLIBCXX_ASSERTIONS
build/hooks/%.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) $(HOOK_FLAGS) -MMD -MP -c -o $@ $<
build/hooks/ann.so: $(HOOK_OBJS) ann.so
	$(CXX) $(CXXFLAGS) -shared -Wl,--version-script=src/exports.list -o $@ $(HOOK_OBJS) $(LDFLAGS) $(SHLIB_LINK)
-include $(HOOK_OBJS:.o=.d)
hooks: build/hooks/ann.so
